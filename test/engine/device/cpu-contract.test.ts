import { openDevice } from "../../../engine/device/open-device.ts";
import { testDeviceContract } from "../../helpers/device-contract.ts";

testDeviceContract({
  name: "cpu",
  open: ({ config: { ropeInverseFrequencies } }) =>
    openDevice({ numThreads: 1, ropeInverseFrequencies }),
  plainTolerance: 1e-4,
  exactFormats: ["f32", "q8"],
});
