import { serve } from "../../serve";
import { kmsProvider } from "./provider";

serve(kmsProvider);
