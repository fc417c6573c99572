import { gate } from "../gate";
import type { PreviewRule } from "../rule";
import { images } from "./images";
import { kept } from "./kept";
import { parents } from "./parents";
import { providers } from "./providers";
import { secrets } from "./secrets";
import { stageJail } from "./stage-jail";

/** Every policy of the pack: what the gate says, and what only the program knows. */
export const rules: readonly PreviewRule[] = [gate, secrets, providers, parents, images, stageJail, kept];
