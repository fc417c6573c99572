import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, link, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { goArchitecture } from "./go";
import { run } from "../process";

/** What a container starts with, in the words of the OCI image specification. */
export interface ImageConfig {
  Entrypoint?: string[];
  Cmd?: string[];
  Env?: string[];
  User?: string;
  WorkingDir?: string;
  StopSignal?: string;
}

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

/** An image in a layout: its manifest, and the digest by which everything refers to it. */
export interface Image {
  manifest: Descriptor;
  /** File names of configuration and layers below the layout. */
  blobs: string[];
}

const sha256 = async (file: string): Promise<string> => {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
};

/** A tar archive whose bytes depend on nothing but names, modes and contents of what is in the directory. */
export const reproducibleTar = (directory: string, archive: string): Promise<string> =>
  run("tar", [
    "--sort=name",
    "--mtime=@0",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--format=gnu",
    "-cf",
    archive,
    "-C",
    directory,
    ".",
  ]);

/** An image layout (OCI image-layout specification 1.1) in a directory; several images in it share their layers. */
export class Layout {
  private readonly layers = new Map<string, Promise<Descriptor>>();

  /**
   * @param compression of the layers: zstd makes archives small and quick to import; Docker and podman load `none` in
   *   all their versions
   */
  constructor(
    private readonly directory: string,
    private readonly compression: "zstd" | "none",
  ) {}

  /** Puts a file into the layout under its digest. */
  private async addFile(mediaType: string, file: string): Promise<Descriptor> {
    const digest = await sha256(file);
    const blob = join(this.directory, "blobs/sha256", digest);
    await mkdir(dirname(blob), { recursive: true });
    await link(file, blob).catch(async (error: unknown) => {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EXDEV") await copyFile(file, blob);
      else if (code !== "EEXIST") throw error;
    });
    return { mediaType, digest: `sha256:${digest}`, size: (await stat(blob)).size };
  }

  private async addJson(mediaType: string, value: unknown): Promise<Descriptor> {
    const file = join(this.directory, "value.json");
    await writeFile(file, JSON.stringify(value));
    const descriptor = await this.addFile(mediaType, file);
    await rm(file);
    return descriptor;
  }

  /** The layer of an archive, whose digest is given; made once. */
  private addLayer(archive: string, digest: string): Promise<Descriptor> {
    const layer = this.layers.get(digest) ?? this.makeLayer(archive, digest);
    this.layers.set(digest, layer);
    return layer;
  }

  private async makeLayer(archive: string, digest: string): Promise<Descriptor> {
    const mediaType = "application/vnd.oci.image.layer.v1.tar";
    if (this.compression === "none") return this.addFile(mediaType, archive);
    const compressed = join(this.directory, `${digest}.zst`);
    await run("zstd", ["--quiet", "--threads=0", "-o", compressed, archive]);
    const descriptor = await this.addFile(`${mediaType}+zstd`, compressed);
    await rm(compressed);
    return descriptor;
  }

  /** Adds an image made of uncompressed layer archives, lowest first. */
  async addImage(layers: string[], config: ImageConfig): Promise<Image> {
    const layerDescriptors: Descriptor[] = [];
    const diffIds: string[] = [];
    for (const layer of layers) {
      const digest = await sha256(layer);
      layerDescriptors.push(await this.addLayer(layer, digest));
      diffIds.push(`sha256:${digest}`);
    }
    const configDescriptor = await this.addJson("application/vnd.oci.image.config.v1+json", {
      created: "1970-01-01T00:00:00Z",
      architecture: goArchitecture,
      os: "linux",
      config,
      rootfs: { type: "layers", diff_ids: diffIds },
      history: layerDescriptors.map(() => ({ created: "1970-01-01T00:00:00Z" })),
    });
    const manifest = await this.addJson("application/vnd.oci.image.manifest.v1+json", {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: configDescriptor,
      layers: layerDescriptors,
    });
    return {
      manifest,
      blobs: [configDescriptor, ...layerDescriptors].map(
        ({ digest }) => `blobs/sha256/${digest.replace("sha256:", "")}`,
      ),
    };
  }

  /** Writes the index with each image under all of its names, and packs the layout into one archive. */
  async pack(archive: string, named: { names: string[]; image: Image }[]): Promise<void> {
    await writeFile(join(this.directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    const manifests = named.flatMap(({ names, image }) =>
      names.map((name) => ({
        ...image.manifest,
        annotations: { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name },
      })),
    );
    const index = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests };
    await writeFile(join(this.directory, "index.json"), JSON.stringify(index));
    await reproducibleTar(this.directory, archive);
  }
}
