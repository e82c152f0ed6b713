import { BlockList, isIP } from "node:net";
import type { Config } from "../config/config.ts";
import { Admission } from "./admission.ts";
import { ApiKeys } from "./api-keys.ts";
import { AllowedOrigins } from "./cors.ts";
import { AllowedHosts } from "./hosts.ts";
import { readApiKeys } from "../config/read-api-keys.ts";

export type SecurityConfig = Pick<
  Config,
  | "host"
  | "allowedHosts"
  | "apiKey"
  | "apiKeyFile"
  | "metricsOpen"
  | "corsOrigins"
  | "rateLimit"
  | "maxConcurrentPerKey"
>;

/** Who may use the server, and how much. */
export interface Security {
  readonly keys: ApiKeys;
  readonly admission: Admission;
  readonly origins: AllowedOrigins;
  readonly hosts: AllowedHosts;
  readonly isMetricsOpen: boolean;
}

/**
 * @param nowMs - milliseconds on a steady clock
 * @throws ConfigError when the file of keys cannot be used.
 */
export function createSecurity(config: SecurityConfig, nowMs: () => number): Security {
  const { apiKey, apiKeyFile, metricsOpen, corsOrigins, rateLimit, maxConcurrentPerKey } = config;
  const keys = new ApiKeys(readApiKeys(apiKey ?? [], apiKeyFile));
  return {
    keys,
    admission: new Admission({ rate: rateLimit, maxConcurrent: maxConcurrentPerKey, nowMs }),
    origins: new AllowedOrigins(corsOrigins),
    // A page of another site has no key.
    hosts: new AllowedHosts(keys.areRequired ? ["*"] : [config.host, ...config.allowedHosts]),
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
