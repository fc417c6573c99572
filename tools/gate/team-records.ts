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

const nobodys = (image: string, repositories: readonly string[]): FactoryError =>
  new FactoryError({
    code: "SSF-VERIFY-004",
    path: image,
    given: "no image of a team of this factory",
    rule: "A factory vouches for the images of its own teams.",
    fix:
      repositories.length === 0
        ? "Bring up a team, then build the image."
        : `Start an image below ${repositories.join(" or ")}.`,
  });

/**
 * Reads what the team of an image recorded, from the API server, anew each time, the newest first. A team's records are those
 * with its label, and each must speak for that team alone: no image passes by what another team's record says, and a record
 * that nobody can read stops the images of its own team and no others.
 *
 * @param registryHost registry that holds the images of all teams, as an image reference names it
 * @returns the records of the team below whose repository the image, named without its digest, lies
 * @throws FactoryError `SSF-VERIFY-004` when it is no team's; `-007` when one of the team's records cannot be read, `-008` when
 * one speaks for another team
 */
export const teamRecords = (
  access: ServiceAccess,
  namespace: string,
  registryHost: string,
): ((image: string) => Promise<TeamRecord[]>) => {
  const get = openService(access, unreadable);
  const path = `/api/v1/namespaces/${namespace}/configmaps?labelSelector=${encodeURIComponent(RECORD_LABEL)}`;
  return async (image) => {
    const { status, body } = await get(path, "application/json");
    if (status !== 200) throw unreadable(`https://${access.host}${path}`, `HTTP status ${status}`);
    const listed = listSchema.parse(JSON.parse(body.toString())).items.map(({ metadata, data }) => {
      const team = metadata.labels[RECORD_LABEL];
      return { ...metadata, team, repository: teamRepository(registryHost, team), text: data[RECORD_KEY] };
    });
    const own = listed.filter(({ repository }) => image.startsWith(`${repository}/`));
    if (own.length === 0) throw nobodys(image, [...new Set(listed.map(({ repository }) => repository))]);
    return own
      .sort((a, b) => b.creationTimestamp.localeCompare(a.creationTimestamp))
      .map(({ name, team, text }) => requireOwn(name, team, parse(name, text), registryHost));
  };
};
