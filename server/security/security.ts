import { BlockList, isIP } from "node:net";
import type { Config } from "../config.ts";
import { Admission } from "./admission.ts";
import { ApiKeys } from "./api-keys.ts";
import { AllowedOrigins } from "./cors.ts";
import { readApiKeys } from "./read-api-keys.ts";

export type SecurityConfig = Pick<
  Config,
  "apiKey" | "apiKeyFile" | "metricsOpen" | "corsOrigins" | "rateLimit" | "maxConcurrentPerKey"
>;

/** Who may use the server, and how much. */
export interface Security {
  readonly keys: ApiKeys;
  readonly admission: Admission;
  readonly origins: AllowedOrigins;
  readonly isMetricsOpen: boolean;
}

/**
 * @param nowMs - milliseconds on a steady clock
 * @throws ConfigError when the file of keys cannot be used.
 */
export function createSecurity(config: SecurityConfig, nowMs: () => number): Security {
  const { apiKey, apiKeyFile, metricsOpen, corsOrigins, rateLimit, maxConcurrentPerKey } = config;
  return {
    keys: new ApiKeys(readApiKeys(apiKey ?? [], apiKeyFile)),
    admission: new Admission({ rate: rateLimit, maxConcurrent: maxConcurrentPerKey, nowMs }),
    origins: new AllowedOrigins(corsOrigins),
    isMetricsOpen: metricsOpen,
  };
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  const loopback = new BlockList();
  loopback.addSubnet("127.0.0.0", 8, "ipv4");
  loopback.addAddress("::1", "ipv6");
  const family = isIP(host);
  if (family === 0) return host.toLowerCase() === "localhost";
  return loopback.check(host, family === 6 ? "ipv6" : "ipv4");
}
