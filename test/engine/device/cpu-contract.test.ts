import { openDevice } from "../../../engine/device/open-device.ts";
import { tinyFamilies } from "../../helpers/tiny-families.ts";
import { testDeviceContract } from "../../helpers/device-contract.ts";

testDeviceContract({
  name: "cpu",
  open: ({ config }) => openDevice({ numThreads: 1, config }),
  plainTolerance: 1e-4,
  exactFormats: ["f32", "q8"],
});

testDeviceContract({
  name: "cpu, windows, two rotary tables, more norms, biases and GELU",
  open: ({ config }) => openDevice({ numThreads: 1, config }),
  plainTolerance: 1e-4,
  exactFormats: ["f32", "q8"],
  model: {
    moreTables: [[8, 100]],
    embeddingScale: 2,
    describe: (layer) => ({
      norms: [
        ...(["attentionNorm", "queryNorm", "keyNorm", "attentionPostNorm"] as const),
        ...(["mlpNorm", "mlpPostNorm"] as const),
      ],
      biases: ["query", "key", "value", "output"],
      activation: "gelu-tanh",
      window: [5, 70, null][layer % 3]!,
      rotary: { table: layer % 2, size: 16, isInterleaved: false },
    }),
  },
});

for (const [name, { model }] of Object.entries(tinyFamilies)) {
  testDeviceContract({
    name: `cpu, ${name}`,
    open: ({ config }) => openDevice({ numThreads: 1, config }),
    plainTolerance: 1e-4,
    exactFormats: ["f32", "q8"],
    model,
  });
}
