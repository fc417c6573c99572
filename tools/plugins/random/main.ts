import { main } from "@pulumi/pulumi/provider";
import { version as sdkVersion } from "@pulumi/random/package.json";
import { randomProvider } from "./provider";

void main(randomProvider(sdkVersion), process.argv.slice(2));
