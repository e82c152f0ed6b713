import { SeapError } from "../../model/errors.ts";

/** The path speaks WebSocket, and the request does not ask for it. */
export class UpgradeRequiredError extends SeapError {
  readonly code = "upgrade_required";

  constructor() {
    super("This path speaks WebSocket: connect with ws:// or wss://. See docs/websocket.md.");
  }
}
