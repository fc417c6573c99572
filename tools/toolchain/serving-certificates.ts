/**
 * Approves the serving certificates that kubelets ask for, each for its own node's name and the addresses that the machine
 * running the nodes gives to that name, and nothing else. A node that starts again may have another address than before,
 * and no certificate for it. Says on its standard error what it leaves alone.
 */
export const approveServingCertificates = `#!/bin/bash
set -euo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf
requests=(certificatesigningrequests --field-selector=spec.signerName=kubernetes.io/kubelet-serving)
pending='.items[] | select((.status.conditions // []) == []) | [.metadata.name, .spec.username, .spec.request] | @tsv'
kubectl get "\${requests[@]}" --output=json | jq --raw-output "$pending" | while IFS=$'\\t' read -r name user request; do
  node="\${user#system:node:}"
  own=$(printf 'DNS:%s\\n' "$node"; getent ahosts "$node" | sed 's/ .*//; s/^/IPAddress:/' || true)
  asked=$(base64 --decode <<<"$request" | openssl req -noout -text |
    sed -n '/Subject Alternative Name/{n;s/ //g;p}' | tr , '\\n' || true)
  if [[ $user == "system:node:$node" && -n $asked ]] && ! grep --quiet --line-regexp --invert-match --fixed-strings "$own" <<<"$asked"; then
    kubectl certificate approve "$name" </dev/null
  else
    echo "not approved: $name of $user, for" $asked >&2
  fi
done
`;

/**
 * The service that runs it once; only nodes of the control plane have what it signs in with. Its journal has what was
 * approved and what was not, and nothing about the runs in between.
 */
export const servingCertificatesService = (program: string): string => `[Unit]
Description=Approval of kubelets' serving certificates
ConditionPathExists=/etc/kubernetes/admin.conf

[Service]
Type=oneshot
SyslogLevel=notice
LogLevelMax=notice
ExecStart=${program}
`;

/** Runs it every few seconds: kubelets ask at any time, also long after their node has started. */
export const servingCertificatesTimer = `[Timer]
OnCalendar=*:*:0/20
AccuracySec=1s
`;
