import { FactoryError, type Problem } from "../components/lib/errors";

const keyType =
  /^(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)$/;
const base64 = /^[A-Za-z0-9+/]+={0,2}$/;
const principals = /^[A-Za-z0-9.@_+*?!,-]+$/;
const options =
  /^(?:(?:cert-authority|namespaces="[a-z*?,.@-]+"|valid-after="?[0-9]{8,14}Z?"?|valid-before="?[0-9]{8,14}Z?"?)(?:,(?!$)|$))+$/;

/** What is wrong with a line of the file; undefined when it names a signer. */
const fault = (line: string): string | undefined => {
  const [who = "", ...rest] = line.split(/[ \t]+/);
  if (!principals.test(who)) return "its first word names no signer";
  const position = rest.findIndex((word) => keyType.test(word));
  if (position < 0 || position > 1) return "it has no public key of a known type after the signer and at most one word";
  const [option] = rest.slice(0, position);
  if (option !== undefined && !options.test(option)) return `"${option}" is no option that is known`;
  return base64.test(rest[position + 1] ?? "") ? undefined : "its public key is not in base64";
};

/**
 * The signers in a file of OpenSSH's format `allowed_signers`, without comments and empty lines, so that these change no
 * definition.
 *
 * @throws FactoryError `SSF-PIPELINE-017` when a line names no signer, or none does
 */
export const parseAllowedSigners = (text: string, path: string): string => {
  const lines = text.split(/\r?\n/).map((line, index) => ({ line: line.trim(), path: `${path}, line ${index + 1}` }));
  const signers = lines.filter(({ line }) => line !== "" && !line.startsWith("#"));
  const rule =
    'Each line holds signers, options if any, and a public key: alice@example.com namespaces="git" ssh-ed25519 AAAA...';
  const problems = signers.flatMap(({ line, path }): Problem[] => {
    const wrong = fault(line);
    return wrong === undefined
      ? []
      : [{ code: "SSF-PIPELINE-017", path, given: wrong, rule, fix: "Correct the line; man ssh-keygen describes it." }];
  });
  if (signers.length === 0)
    problems.push({
      code: "SSF-PIPELINE-017",
      path,
      given: "no signer",
      rule,
      fix: "Add a signer, or leave the key out to build commits without signature.",
    });
  const [first, ...others] = problems;
  if (first !== undefined) throw new FactoryError(first, ...others);
  return signers.map(({ line }) => line).join("\n");
};
