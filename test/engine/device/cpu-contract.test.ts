import { openDevice } from "../../../engine/device/open-device.ts";
import { testDeviceContract } from "../../helpers/device-contract.ts";

testDeviceContract({
  name: "cpu",
  open: ({ config }) => openDevice({ numThreads: 1, config }),
  plainTolerance: 1e-4,
  exactFormats: ["f32", "q8"],
});
