#!/usr/bin/env node
// Since 1.29 ONNX Runtime tells its makers of every session, and keeps a number for this machine, unless this is set
// before it is loaded.
process.env["ORT_DISABLE_TELEMETRY"] = "1";
await import("../dist/bin/cli.js");
