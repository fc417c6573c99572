import { main } from "@pulumi/pulumi/provider";
import { kmsProvider } from "./provider";

void main(kmsProvider, process.argv.slice(2));
