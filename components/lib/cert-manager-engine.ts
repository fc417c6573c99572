/** What installs cert-manager. */
export enum CertManagerEngine {
  /** The chart of the pinned sources; previews and policies see each of its objects. */
  Chart = "chart",
  /** The package `@pulumi/kubernetes-cert-manager`, which needs its plugin and shows one opaque Helm release. */
  Component = "component",
}
