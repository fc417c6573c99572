import { cachePoisoning } from "./cache-poisoning";
import { connections } from "./connections";
import { definitionsChanged } from "./definitions-changed";
import { definitionsEdited } from "./definitions-edited";
import { expiredCertificate } from "./expired-certificate";
import { forgedMarks } from "./forged-marks";
import { forgedProvenance } from "./forged-provenance";
import { gateOutage } from "./gate-outage";
import { inlineSpecs } from "./inline-specs";
import { jail } from "./jail";
import { lyingLog } from "./lying-log";
import { maliciousBuild } from "./malicious-build";
import { otherTeam } from "./other-team";
import { params } from "./params";
import { podTemplates } from "./pod-templates";
import { pods } from "./pods";
import { references } from "./references";
import { registry } from "./registry";
import { results } from "./results";
import { rights } from "./rights";
import { stolenIdentities } from "./stolen-identities";
import type { FactoryAttack } from "./support";
import { unprovenImages } from "./unproven-images";
import { workspaces } from "./workspaces";

/** Every attack, in the order in which they run: what takes a moment first. */
export const attacks: readonly FactoryAttack[] = [
  inlineSpecs,
  references,
  podTemplates,
  pods,
  params,
  rights,
  definitionsChanged,
  connections,
  definitionsEdited,
  workspaces,
  results,
  jail,
  forgedMarks,
  unprovenImages,
  forgedProvenance,
  lyingLog,
  stolenIdentities,
  registry,
  otherTeam,
  maliciousBuild,
  cachePoisoning,
  gateOutage,
  expiredCertificate,
];
