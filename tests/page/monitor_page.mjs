// The monitor's page in a real browser against real roles: figures appear and move, the key leaves
// the address, a missing key is asked for, and what cannot be reached is said.
//   node tests/page/monitor_page.mjs build/release/taskd build/npm/node_modules
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [taskd, modules] = process.argv.slice(2).map((path) => resolve(path));
const { chromium } = createRequire(join(modules, 'x.js'))('playwright-core');
const data = mkdtempSync(join(tmpdir(), 'taskd-page-'));
const patience = 30_000;

// Asks again and again, soon at first, until `ask` gives something or patience is out.
async function until(what, ask) {
    const end = Date.now() + patience;
    for (let pause = 5; Date.now() < end; pause = Math.min(2 * pause, 200)) {
        const value = await ask();
        if (value) return value;
        await new Promise((done) => setTimeout(done, pause));
    }
    throw new Error(`never happened: ${what}`);
}

const endpoints = () => JSON.parse(readFileSync(join(data, 'endpoints.json'), 'utf8'));
const run = (...words) => spawnSync(taskd, [...words, '--data', data], { encoding: 'utf8' });

async function check(page, key) {
    const { monitor } = endpoints();
    const faults = [];
    const requests = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (line) => line.type() === 'error' && faults.push(line.text()));
    page.on('request', (request) => requests.push(new URL(request.url()).origin));
    const cell = (row, column) =>
        page.locator('#workers tbody tr', { hasText: row }).locator('td').nth(column).innerText();
    // The clock of whoever looks may be wrong: here it is five minutes ahead.
    await page.addInitScript(() => {
        const right = Date.now;
        Date.now = () => right() + 300_000;
    });

    await page.goto(`${monitor.url}/`);
    await page.locator('#key-form').waitFor();
    assert.match(await page.locator('#monitor-fault').innerText(), /no cluster key/);
    await page.locator('#key').fill(key);
    await page.locator('#key-form button').click();
    await until('the figures come with the key', async () =>
        (await page.locator('#workers tbody tr').count()) === 5);
    assert.equal(await page.locator('#key-form').isHidden(), true);
    assert.equal(await cell('sum-1', 4), 'yes');
    assert.match(await cell('sum-1', 5), /^\d+s ago$/);
    // Being refused without a key is what was asked for.
    assert.ok(faults.every((fault) => fault.includes('401')), faults.join('\n'));
    faults.length = 0;

    await page.evaluate(() => sessionStorage.clear());
    await page.goto(`${monitor.url}/#key=${key}`);
    await page.reload();  // a new fragment alone loads nothing
    await until('the key leaves the address', async () => !page.url().includes(key));
    assert.equal(run('submit', 'sum', '1', '2').stdout, '3\n');
    await until('the total moves', async () =>
        (await page.locator('#totals dd').nth(1).innerText()) === '1');

    assert.equal(run('submit', 'a_type_nobody_does', 'x', '--detach').status, 0);
    await until('a queue that waits is shown', async () =>
        (await page.locator('#queues tbody tr', { hasText: 'a_type_nobody_does' })
             .locator('td').nth(1).innerText().catch(() => '')) === '1');

    const search = async (text) => {
        await page.locator('#search').fill(text);
        await page.locator('#search-form button').click();
    };
    await search('type:a_type_nobody_does state:queued');
    await until('the task is found', async () =>
        (await page.locator('#found tbody tr').count()) === 1 &&
        (await page.locator('#found tbody').innerText()).includes('no worker of type'));
    assert.match(await page.locator('#found tbody td').nth(5).innerText(), /^\d+s ago$/);
    await search('type:sum tsate:dead');
    await until('a fault names its place', async () =>
        (await page.locator('#search-fault').innerText()).includes("in 'tsate:dead'"));
    // What was asked last is shown, whichever is answered first.
    let answer_late;
    const late = new Promise((go) => { answer_late = go; });
    await page.route('**/v1/tasks?*', async (route) => {
        if (route.request().url().includes('nobody_does')) await late;
        await route.continue();
    });
    await search('type:a_type_nobody_does');
    assert.equal(await page.locator('#more').isDisabled(), true);
    await search('type:sum');
    const found = page.locator('#found tbody');
    await until('the later search is shown', async () =>
        (await found.innerText()).includes('sum'));
    const answered = page.waitForResponse((answer) => answer.url().includes('nobody_does'));
    answer_late();
    await (await answered).finished();
    await page.evaluate(() => new Promise((done) => setTimeout(done)));
    assert.equal((await found.innerText()).includes('nobody_does'), false);
    assert.equal(await found.locator('tr').count(), 1);
    assert.equal(await page.locator('#more').isDisabled(), false);
    await page.unroute('**/v1/tasks?*');
    // A refused search is what was asked for.
    assert.ok(faults.every((fault) => fault.includes('422')), faults.join('\n'));
    faults.length = 0;

    assert.deepEqual(faults, []);
    assert.deepEqual([...new Set(requests)], [monitor.url]);
    process.kill(endpoints().dispatcher.pid, 'SIGSTOP');
    await until('a silent dispatcher is said', async () =>
        (await page.locator('#dispatcher-fault').innerText()).includes('cannot be reached'));
    process.kill(endpoints().dispatcher.pid, 'SIGCONT');
    await until('and its return', async () =>
        (await page.locator('#dispatcher-fault').innerText()) === '');

    for (const scheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme: scheme });
        if (process.env.TASKD_SCREENSHOTS)
            await page.screenshot({ path: join(process.env.TASKD_SCREENSHOTS, `${scheme}.png`),
                                    fullPage: true });
    }
    await page.setViewportSize({ width: 360, height: 700 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
              'the page is wider than a phone');
}

const up = spawn(taskd, ['up', '--data', data, '--port', '0'], { stdio: 'ignore' });
const ended = new Promise((done) => up.once('exit', done));
let browser;
try {
    await until('taskd up is ready', () => existsSync(join(data, 'endpoints.json')));
    browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
               '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    await check(await browser.newPage(), readFileSync(join(data, 'key'), 'utf8').trim());
    console.log('the page is well');
} finally {
    await browser?.close();
    up.kill('SIGTERM');
    await ended;
    rmSync(data, { recursive: true });
}
