import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import { RECORD_KEY, RECORD_LABEL, type TeamRecord, teamRecordSchema } from "../../policies/admission/gate/records";
import { openService, type ServiceAccess } from "../cli/service";

const listSchema = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string(), creationTimestamp: z.string() }),
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

/** Reads the records of all teams from the API server, anew each time, the newest first. */
export const teamRecords = (access: ServiceAccess, namespace: string): (() => Promise<TeamRecord[]>) => {
  const get = openService(access, unreadable);
  const path = `/api/v1/namespaces/${namespace}/configmaps?labelSelector=${encodeURIComponent(RECORD_LABEL)}`;
  return async () => {
    const { status, body } = await get(path, "application/json");
    if (status !== 200) throw unreadable(`https://${access.host}${path}`, `HTTP status ${status}`);
    return listSchema
      .parse(JSON.parse(body.toString()))
      .items.sort((a, b) => b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp))
      .map(({ metadata: { name }, data }) => parse(name, data[RECORD_KEY]));
  };
};
