// What the TypeScript services share: a gRPC server with health, a report and a measured codec.

import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { StageService } from "./generated/split.js";
import type { StageServer } from "./generated/split.js";
import type { Ledger } from "./ledger.js";

export type Service = {
  name: string;
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
  ledger: Ledger;
};

// Prints the address it listens on as the process's first line, and ends the process when standard input ends.
export async function serve(service: Service): Promise<void> {
  const { server, address } = await start(service);
  process.stdin.resume().on("close", () => {
    server.forceShutdown();
    process.exit(0);
  });
  console.log(address);
}

// A server that is ready, on a port of the system's choice.
export async function start(service: Service): Promise<{ server: Server; address: string }> {
  const server = new Server();
  server.addService(metered(service.definition, service.ledger), service.implementation);
  server.addService(StageService, stage(service.ledger));
  new HealthImplementation({ [service.name]: "SERVING" }).addToServer(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { server, address: `127.0.0.1:${port}` };
}

function stage(ledger: Ledger): StageServer {
  return {
    report(_call, callback) {
      const report = ledger.report();
      if (report) callback(null, report);
      else callback({ code: status.FAILED_PRECONDITION, details: "the stream is still open" });
    },
  };
}

function metered(definition: ServiceDefinition, ledger: Ledger): ServiceDefinition {
  const methods = Object.entries(definition).map(([name, method]) => [
    name,
    {
      ...method,
      requestDeserialize: (bytes: Buffer): unknown =>
        ledger.time("deserialise", () => method.requestDeserialize(bytes)),
      responseSerialize: (message: unknown): Buffer =>
        ledger.time("serialise", () => method.responseSerialize(message)),
    },
  ]);
  return Object.fromEntries(methods) as ServiceDefinition;
}
