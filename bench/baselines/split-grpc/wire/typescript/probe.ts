// A client's view of a service, for the services' tests.

import assert from "node:assert/strict";
import { credentials, makeGenericClientConstructor } from "@grpc/grpc-js";
import { service as healthDefinition } from "grpc-health-check";
import { StageClient } from "./generated/split.js";
import type { StageReport } from "./generated/split.js";

// Fails unless health says that the service serves.
export async function checkReady(address: string, service: string): Promise<void> {
  const client = new (makeGenericClientConstructor(healthDefinition, "Health"))(
    address,
    credentials.createInsecure(),
  );
  const reply = await new Promise<{ status: string }>((resolve, reject) => {
    client["Check"]?.call(client, { service }, (error: Error | null, value: { status: string }) =>
      error ? reject(error) : resolve(value),
    );
  });
  client.close();
  assert.equal(reply.status, "SERVING");
}

export async function reportOf(address: string): Promise<StageReport> {
  const client = new StageClient(address, credentials.createInsecure());
  try {
    return await new Promise((resolve, reject) => {
      client.report({}, (error, report) => (error ? reject(error) : resolve(report)));
    });
  } finally {
    client.close();
  }
}
