// The JavaScript SDK of OpenFGA, unchanged, against a server: node scenario.js URL MODEL SECURED_URL TOKEN
// MODEL is a file with a model as JSON; SECURED_URL is a server that demands proof and lets a caller check a few times a
// second only, TOKEN what it accepts.
// Run by ../test_javascript.py. Ends with 0 when everything held, and otherwise says what did not.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import {
  ClientWriteRequestOnDuplicateWrites,
  ClientWriteRequestOnMissingDeletes,
  ClientWriteStatus,
  ConsistencyPreference,
  CredentialsMethod,
  FgaApiAuthenticationError,
  FgaApiError,
  FgaApiNotFoundError,
  FgaApiRateLimitExceededError,
  FgaApiValidationError,
  OpenFgaClient,
  TupleOperation,
} from "@openfga/sdk";

const [apiUrl, modelFile, securedUrl, token] = process.argv.slice(2);
const model = JSON.parse(readFileSync(modelFile, "utf8"));
const ABSENT = "01HYYYYYYYYYYYYYYYYYYYYYYY";

const tuple = (user, relation, object, condition) => ({ user, relation, object, condition });
const sorted = (names) => [...names].sort();

async function store(client) {
  const created = await client.createStore({ name: "javascript" });
  client.storeId = created.id;
  assert.equal((await client.getStore()).name, "javascript");
  const page = await client.listStores({ name: "javascript", pageSize: 100 });
  assert.ok(page.stores.some((each) => each.id === created.id));
  const { authorization_model_id: id } = await client.writeAuthorizationModel(model);
  const read = await client.readAuthorizationModel({ authorizationModelId: id });
  assert.deepEqual(
    read.authorization_model.type_definitions.map((each) => each.type),
    ["user", "group", "document"],
  );
  assert.equal((await client.readLatestAuthorizationModel()).authorization_model.id, id);
  client.authorizationModelId = id;
}

async function tuples(client) {
  const anne = tuple("user:anne", "owner", "document:a");
  await client.write({
    writes: [
      anne,
      tuple("user:bob", "member", "group:g"),
      tuple("group:g#member", "viewer", "document:b"),
      tuple("user:*", "viewer", "document:public"),
      tuple("user:carl", "viewer", "document:near", { name: "near", context: { most: 5 } }),
    ],
  });
  await assert.rejects(client.writeTuples([anne]), (error) => {
    assert.ok(error instanceof FgaApiValidationError);
    assert.equal(error.apiErrorCode, "write_failed_due_to_invalid_input");
    return true;
  });
  await client.write(
    { writes: [anne], deletes: [tuple("user:nobody", "owner", "document:a")] },
    {
      conflict: {
        onDuplicateWrites: ClientWriteRequestOnDuplicateWrites.Ignore,
        onMissingDeletes: ClientWriteRequestOnMissingDeletes.Ignore,
      },
    },
  );
  const mixed = await client.write(
    { writes: [anne, tuple("user:dora", "viewer", "document:a")] },
    { transaction: { disable: true } },
  );
  assert.deepEqual(
    mixed.writes.map((each) => each.status),
    [ClientWriteStatus.FAILURE, ClientWriteStatus.SUCCESS],
  );
  await client.deleteTuples([tuple("user:dora", "viewer", "document:a")]);

  const found = [];
  let continuationToken = "";
  do {
    const page = await client.read({}, { pageSize: 2, continuationToken });
    found.push(...page.tuples);
    continuationToken = page.continuation_token;
  } while (continuationToken);
  assert.equal(found.length, 5);
  const near = found.find((each) => each.key.object === "document:near");
  assert.deepEqual(near.key.condition, { name: "near", context: { most: 5 } });

  const changes = await client.readChanges({ type: "document" }, { pageSize: 100 });
  assert.equal(changes.changes.length, 6);
  assert.equal(changes.changes.at(-1).operation, TupleOperation.Delete);
  const next = await client.readChanges(
    { type: "document" },
    { continuationToken: changes.continuation_token },
  );
  assert.deepEqual(next.changes, []);
}

async function queries(client) {
  const ask = (user, relation, object, more = {}) => ({ user, relation, object, ...more });
  const consistency = ConsistencyPreference.HigherConsistency;
  assert.equal((await client.check(ask("user:anne", "can_view", "document:a"), { consistency })).allowed, true);
  assert.equal((await client.check(ask("user:anne", "can_view", "document:b"))).allowed, false);
  const contextualTuples = [tuple("user:dora", "member", "group:g")];
  assert.equal((await client.check(ask("user:dora", "viewer", "document:b", { contextualTuples }))).allowed, true);
  const context = { distance: 3 };
  assert.equal((await client.check(ask("user:carl", "viewer", "document:near", { context }))).allowed, true);

  const batch = await client.batchCheck({
    checks: [
      { ...ask("user:bob", "viewer", "document:b"), correlationId: "good" },
      { ...ask("user:bob", "absent", "document:b"), correlationId: "bad" },
    ],
  });
  const byId = Object.fromEntries(batch.result.map((each) => [each.correlationId, each]));
  assert.equal(byId.good.allowed, true);
  assert.equal(byId.bad.error.input_error, "validation_error");
  const parallel = await client.clientBatchCheck(
    Array.from({ length: 30 }, () => ask("user:bob", "viewer", "document:b")),
  );
  assert.ok(parallel.result.every((each) => each.allowed));

  const tree = (await client.expand({ relation: "viewer", object: "document:b" })).tree;
  assert.deepEqual(tree.root.union.nodes[0].leaf.users.users, ["group:g#member"]);
  const list = { user: "user:bob", relation: "can_view", type: "document", context };
  const expected = ["document:b", "document:public"];
  assert.deepEqual(sorted((await client.listObjects(list)).objects), expected);
  const streamed = [];
  for await (const each of client.streamedListObjects(list)) streamed.push(each.object);
  assert.deepEqual(sorted(streamed), expected);
  const people = await client.listUsers({
    object: { type: "document", id: "b" },
    relation: "can_view",
    user_filters: [{ type: "user" }],
  });
  assert.deepEqual(people.users[0].object, { type: "user", id: "bob" });
  const relations = ["owner", "viewer", "blocked", "can_view"];
  const held = await client.listRelations({ user: "user:anne", object: "document:a", relations });
  assert.deepEqual(sorted(held.relations), ["can_view", "owner", "viewer"]);
}

async function assertions(client) {
  const asserted = [{ user: "user:anne", relation: "viewer", object: "document:a", expectation: true }];
  await client.writeAssertions(asserted);
  const read = await client.readAssertions();
  assert.equal(read.assertions.length, 1);
  assert.equal(read.assertions[0].expectation, true);
}

async function failures(client) {
  const refused = await client
    .check({ user: "user:anne", relation: "absent", object: "document:a" })
    .catch((error) => error);
  assert.ok(refused instanceof FgaApiValidationError);
  assert.deepEqual([refused.statusCode, refused.apiErrorCode], [400, "validation_error"]);
  assert.ok(refused.apiErrorMessage.includes("absent"));
  assert.ok(refused.requestId);
  const missing = await client.getStore({ storeId: ABSENT }).catch((error) => error);
  assert.ok(missing instanceof FgaApiNotFoundError);
  assert.equal(missing.apiErrorCode, "store_id_not_found");
  const conflict = await client
    .writeTuples([tuple("user:anne", "owner", "document:a"), tuple("user:carl", "viewer", "document:near")], {
      conflict: { onDuplicateWrites: ClientWriteRequestOnDuplicateWrites.Ignore },
    })
    .catch((error) => error);
  assert.ok(conflict instanceof FgaApiError);
  assert.equal(conflict.statusCode, 409);
}

function secured(options = {}) {
  const known = { method: CredentialsMethod.ApiToken, config: { token } };
  return new OpenFgaClient({ apiUrl: securedUrl, credentials: known, ...options });
}

async function credentials() {
  const nobody = await new OpenFgaClient({ apiUrl: securedUrl }).listStores().catch((error) => error);
  assert.ok(nobody instanceof FgaApiAuthenticationError);
  assert.deepEqual([nobody.statusCode, nobody.apiErrorCode], [401, "bearer_token_missing"]);
  const client = secured();
  client.storeId = (await client.createStore({ name: "secured" })).id;
  assert.equal((await client.getStore()).name, "secured");
  await client.deleteStore();
}

async function rates() {
  const client = secured();
  client.storeId = (await client.createStore({ name: "rates" })).id;
  await client.writeAuthorizationModel(model);
  const question = { user: "user:anne", relation: "viewer", object: "document:a" };
  const many = Array.from({ length: 8 }, () => question);
  const hasty = await client.clientBatchCheck(many, { retryParams: { maxRetry: 0 } });
  const refused = hasty.result.map((each) => each.error).filter((error) => error);
  assert.ok(refused.length > 0);
  assert.ok(refused.every((error) => error instanceof FgaApiRateLimitExceededError));
  assert.equal(refused[0].responseHeader["retry-after"], "1");
  // With retries it waits as long as it is told.
  for (let count = 0; count < 2; count += 1) assert.equal((await client.check(question)).allowed, false);
  await client.deleteStore();
}

const client = new OpenFgaClient({ apiUrl });
for (const part of [store, tuples, queries, assertions, failures, credentials, rates]) {
  await part(client);
  console.log(`${part.name}: held`);
}
await client.deleteStore();
