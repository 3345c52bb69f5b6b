// Holds the contract against the error table: every name exists, stands under its status, and is
// listed where it can be given. Linters cannot know this.
//   redocly bundle config/openapi.yaml --ext json -o CONTRACT.json
//   node tests/contract_docs/check_errors.mjs CONTRACT.json include/taskd/base/error_table.inc
import { readFileSync } from 'node:fs';

const [contractPath, tablePath] = process.argv.slice(2);
if (!tablePath) {
    console.error('usage: check_errors.mjs CONTRACT.json ERROR_TABLE.inc');
    process.exit(2);
}
const contract = JSON.parse(readFileSync(contractPath, 'utf8'));
const table = new Map();  // name -> status
for (const [, name, status] of readFileSync(tablePath, 'utf8')
         .matchAll(/^TASKD_ERROR\(\d+, (\w+), (\d+),/gm))
    table.set(name, status);

const faults = [];
const check = (good, text) => good || faults.push(text);
const same = (a, b) => [...a].sort().join(' ') === [...b].sort().join(' ');

const roles = new Set(['dispatcher', 'nameservice', 'worker', 'monitor', 'host', 'up']);
const methods = new Set(['get', 'put', 'post', 'delete', 'patch', 'head', 'options']);
const any = contract['x-taskd-errors-any'];
const named = new Set(any);
const ids = new Set();

check(table.size > 40, `only ${table.size} rows read from ${tablePath}`);
for (const [path, item] of Object.entries(contract.paths)) {
    for (const [method, operation] of Object.entries(item)) {
        if (!methods.has(method)) continue;
        const where = `${method.toUpperCase()} ${path}`;
        const errors = operation['x-taskd-errors'];
        check(operation.operationId && !ids.has(operation.operationId),
              `${where}: needs its own operationId`);
        ids.add(operation.operationId);
        const served = operation['x-taskd-roles'] ?? [];
        check(served.length > 0 && served.every((role) => roles.has(role)),
              `${where}: x-taskd-roles`);
        if (!Array.isArray(errors)) {
            faults.push(`${where}: x-taskd-errors is missing`);
            continue;
        }
        check(new Set(errors).size === errors.length,
              `${where}: a name stands twice in x-taskd-errors`);
        errors.forEach((name) => named.add(name));
        const expected = new Set(errors.map((name) => table.get(name)).filter(Boolean));
        const written =
            Object.keys(operation.responses).filter((status) => /^[45]\d\d$/.test(status));
        check(same(expected, written),
              `${where}: errors have statuses ${[...expected].sort()}, responses ${written}`);
        check('default' in operation.responses, `${where}: needs a default response`);
        const guarded = path.startsWith('/v1/') || path === '/metrics';
        for (const name of ['missing_key', 'wrong_key'])
            check(errors.includes(name) === guarded,
                  `${where}: ${name} belongs to /v1 and /metrics and to nothing else`);
        check(guarded === (operation.security === undefined),
              `${where}: security does not suit the path`);
    }
}
for (const name of named) check(table.has(name), `${name} is not in the error table`);
check(same(named, contract.components.schemas.ErrorName.enum),
      'ErrorName does not list exactly the names used');

faults.forEach((fault) => console.error(fault));
console.log(`${ids.size} operations, ${named.size} error names, ${faults.length} faults`);
process.exit(faults.length ? 1 : 0);
