import { writeSpeedExpert } from "../speed-expert.ts";
import type { ProcessBuilding } from "./process-builder.ts";

// Writes an expert as the argument says, and what the server is to know of it to stdout.
const { model, sparsity, storeDir } = JSON.parse(process.argv[2]!) as ProcessBuilding;
process.stdout.write(JSON.stringify(await writeSpeedExpert(model, sparsity, storeDir)));
