import { version as sdkVersion } from "@pulumi/random/package.json";
import { serve } from "../../serve";
import { randomProvider } from "./provider";

serve(randomProvider(sdkVersion));
