import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import { teamNamespace, teamRepository } from "../../components/lib/names";
import { RECORD_KEY, RECORD_LABEL, type TeamRecord, teamRecordSchema } from "../../policies/admission/gate/records";
import { openService, type ServiceAccess } from "../cli/service";

const listSchema = z.object({
  items: z.array(
    z.object({
      metadata: z.object({
        name: z.string(),
        creationTimestamp: z.string(),
        labels: z.object({ [RECORD_LABEL]: z.string() }),
      }),
      data: z.record(z.string(), z.string()).default({}),
    }),
  ),
});

const unreadable = (path: string, given: string): FactoryError =>
  new FactoryError({
    code: "SSF-VERIFY-007",
    path,
    given,
    rule: "The records of the teams must be readable, since images are checked against them.",
    fix: "Look at ./factory status; ./factory up writes the records again.",
  });

const parse = (name: string, text: string | undefined): TeamRecord => {
  try {
    return teamRecordSchema.parse(JSON.parse(text ?? ""));
  } catch (error) {
    throw unreadable(`ConfigMap ${name}`, error instanceof z.ZodError ? z.prettifyError(error) : "no JSON");
  }
};

/** Refuses a record that speaks for another team than the one that its label names. */
const requireOwn = (name: string, team: string, record: TeamRecord, registryHost: string): TeamRecord => {
  const [namespace, repository] = [teamNamespace(team), teamRepository(registryHost, team)];
  if (record.namespace === namespace && record.repository === repository) return record;
  throw new FactoryError({
    code: "SSF-VERIFY-008",
    path: `ConfigMap ${name}`,
    given: `a record of team ${team} for namespace ${record.namespace} and repository ${record.repository}`,
    rule: `A record of team ${team} speaks for ${namespace} and ${repository} alone.`,
    fix: "Delete it, find out who made it, and bring up the team's stack, which writes the right one.",
  });
};

/**
 * Reads the records of all teams from the API server, anew each time, the newest first. Each speaks for its own team alone,
 * so that no image of one team passes by what another team's record says.
 *
 * @param registryHost registry that holds the images of all teams, as an image reference names it
 * @throws FactoryError `SSF-VERIFY-007` when one cannot be read, `-008` when one speaks for another team
 */
export const teamRecords = (
  access: ServiceAccess,
  namespace: string,
  registryHost: string,
): (() => Promise<TeamRecord[]>) => {
  const get = openService(access, unreadable);
  const path = `/api/v1/namespaces/${namespace}/configmaps?labelSelector=${encodeURIComponent(RECORD_LABEL)}`;
  return async () => {
    const { status, body } = await get(path, "application/json");
    if (status !== 200) throw unreadable(`https://${access.host}${path}`, `HTTP status ${status}`);
    return listSchema
      .parse(JSON.parse(body.toString()))
      .items.sort((a, b) => b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp))
      .map(({ metadata: { name, labels }, data }) =>
        requireOwn(name, labels[RECORD_LABEL], parse(name, data[RECORD_KEY]), registryHost),
      );
  };
};
