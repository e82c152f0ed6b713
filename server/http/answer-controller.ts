import { setMaxListeners } from "node:events";

/** What ends an answer. Any number of its choices may listen: Node.js takes more than ten for a leak. */
export function createAnswerController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
