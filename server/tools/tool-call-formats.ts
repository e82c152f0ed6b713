import { hermesFormat } from "./hermes-format.ts";
import { llamaFormat } from "./llama-format.ts";
import type { ToolCallFormat, ToolCallFormatName } from "./tool-call-format.ts";

export const toolCallFormats: Readonly<Record<ToolCallFormatName, ToolCallFormat>> = {
  hermes: hermesFormat,
  llama: llamaFormat,
};

/**
 * How a model writes calls. One whose template knows no tools is told the convention of Hermes.
 * @param template Jinja
 */
export function toolCallFormatOf(template: string): ToolCallFormat {
  return (
    Object.values(toolCallFormats).find((format) => format.isKnownTo(template)) ?? hermesFormat
  );
}
