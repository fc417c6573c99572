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
