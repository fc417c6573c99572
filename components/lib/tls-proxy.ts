import type * as k8s from "@pulumi/kubernetes";

import { resources, restrictedContainer } from "./pods";

/** Port that a {@link tlsProxy} serves, in its pod and as a service. */
export const TLS_PROXY_PORT = 8443;

const SETTINGS = "/etc/tls-proxy";
const CERTIFICATE = "/etc/tls-proxy-certificate";

/** Arguments of {@link tlsProxy}. */
export interface TlsProxyArgs {
  /** Image with lighttpd, by digest. */
  image: string;
  /** Name of the ConfigMap that holds {@link proxySettings} as `lighttpd.conf`. */
  settings: string;
  /** Name of the Secret with the server's certificate. */
  certificate: string;
  /** Path that the server behind it answers with success when it is well. */
  healthPath: string;
}

/** The proxy as a part of its pod: a container that starts first and ends last, and its volumes. */
export interface TlsProxy {
  container: k8s.types.input.core.v1.Container;
  volumes: k8s.types.input.core.v1.Volume[];
  /** What tells whether the server behind it answers. */
  probe: k8s.types.input.core.v1.Probe;
}

/**
 * Serves TLS in a pod whose own server speaks plain HTTP on its loopback address only.
 *
 * It is a sidecar of Kubernetes: an init container that keeps running.
 */
export const tlsProxy = ({ image, settings, certificate, healthPath }: TlsProxyArgs): TlsProxy => ({
  container: {
    name: "tls-proxy",
    image,
    restartPolicy: "Always",
    command: ["/usr/sbin/lighttpd", "-D", "-f", `${SETTINGS}/lighttpd.conf`],
    ports: [{ name: "https", containerPort: TLS_PROXY_PORT }],
    securityContext: restrictedContainer,
    resources: resources({ cpu: "5m", memory: "8Mi" }, { cpu: "500m", memory: "64Mi" }),
    volumeMounts: [
      { name: "tls-proxy-settings", mountPath: SETTINGS, readOnly: true },
      { name: "tls-proxy-certificate", mountPath: CERTIFICATE, readOnly: true },
      { name: "tmp", mountPath: "/tmp" },
    ],
  },
  volumes: [
    { name: "tls-proxy-settings", configMap: { name: settings } },
    { name: "tls-proxy-certificate", secret: { secretName: certificate } },
    { name: "tmp", emptyDir: { sizeLimit: "256Mi" } },
  ],
  probe: { httpGet: { path: healthPath, port: TLS_PROXY_PORT, scheme: "HTTPS" }, periodSeconds: 2, timeoutSeconds: 5 },
});

/** The proxy's settings: TLS only, and every request goes to `port` of the loopback address. */
export const proxySettings = (port: number): string => `server.modules = ("mod_openssl", "mod_proxy")
server.port = ${TLS_PROXY_PORT}
server.document-root = "/var/empty"
server.upload-dirs = ("/tmp")
server.tag = ""
# The servers behind it speak HTTP/1.1.
server.feature-flags = ("server.h2proto" => "disable")

ssl.engine = "enable"
ssl.pemfile = "${CERTIFICATE}/tls.crt"
ssl.privkey = "${CERTIFICATE}/tls.key"
ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv1.2")

proxy.server = ("" => (("host" => "127.0.0.1", "port" => ${port})))
`;
