// What only a mock can show: texts that try to break out, and everything that goes wrong.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { accessible, innocent, launch, open, view } from './browser.js';
import { HOSTILE } from './mock/plots.js';
import { real, target, until } from './target.js';

const LIMIT = { timeout: 180_000, skip: real };

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** Runs `body` with a mock of its own and a page. */
async function using(options, body) {
  const it = await target(options);
  const page = await open(browser, it.url, options);
  try {
    await body(page, it);
  } finally {
    await page.context().close();
    await it.close();
  }
}

describe('hostile texts', () => {
  test('are shown as they are and never run', LIMIT, () =>
    using({ denials: 60 }, async (page, { mock }) => {
      const names = ['', 'denylist', 'allowlist', 'incidents', 'history'];
      const titles = ['Overview', 'Denylist', 'Allowlist', 'Incidents', 'History'];
      mock.world.applications[0].notes = ['<b>note</b>'];
      mock.world.applications.push({ ...mock.world.applications[1], name: HOSTILE[3] });
      for (const [index, name] of names.entries()) await view(page, name, titles[index]);
      const told = mock.world.incidents.filter(({ agent, plot }) => HOSTILE.includes(agent ?? plot.agent));
      assert.equal(told.length, HOSTILE.length);
      for (const { id, plot } of told) {
        await page.evaluate((hash) => {
          location.hash = hash;
        }, `#/incidents/${id}`);
        const shown = page.locator('.plain bdi.wrap', { hasText: plot.agent.slice(0, 12) });
        await shown.waitFor();
        assert.equal(await shown.evaluate((node) => node.children.length), 0);
        const path = await page.locator('.requests tbody bdi').first().innerText();
        assert.ok(path.startsWith('/search?q='), path);
      }
      assert.equal(await page.locator('main img, main script, main iframe').count(), 0);
      await innocent(page);
    }),
  );

  test('what turns or hides text is spelt out', LIMIT, () =>
    using({ denials: 5 }, async (page, { mock }) => {
      const { id } = mock.world.incidents.find(({ plot }) => plot.agent === HOSTILE.at(-1));
      await page.evaluate((hash) => {
        location.hash = hash;
      }, `#/incidents/${id}`);
      const text = await page.locator('.plain bdi.wrap').last().innerText();
      assert.ok(text.includes('\\u{202e}') && text.includes('\\u{0}') && text.includes('\\u{1b}'), text);
    }),
  );

  test('a comment that is markup comes back as text', LIMIT, () =>
    using({ denials: 5 }, async (page) => {
      await view(page, 'allowlist', 'Allowlist');
      await page.getByRole('button', { name: 'Allow an address' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Address or network').fill('203.0.113.0/24');
      await dialog.getByLabel('Comment').fill(HOSTILE[1]);
      await dialog.getByRole('button', { name: 'Allow' }).click();
      await page.locator('tbody tr', { hasText: HOSTILE[1] }).waitFor();
      await innocent(page);
    }),
  );

  test('a view name that is a member of every object is no view', LIMIT, () =>
    using({ denials: 5 }, async (page) => {
      await view(page, 'constructor/%E0%A4%A', 'Not found');
      await innocent(page);
    }),
  );
});

describe('what an operator does', () => {
  test('extends, denies and lifts; the list stays where it was scrolled to', LIMIT, () =>
    using({ denials: 400 }, async (page, { mock }) => {
      await view(page, 'denylist', 'Denylist');
      const first = page.locator('.virtual tbody tr').first();
      await first.getByRole('button', { name: 'Extend' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('From now').selectOption('7d');
      await dialog.getByRole('button', { name: 'Change' }).click();
      await first.locator('.col-ends', { hasText: 'in 7 d' }).waitFor();

      await page.getByRole('button', { name: 'Deny an address' }).click();
      await dialog.getByLabel('Address').fill('192.0.2.77');
      await dialog.getByRole('button', { name: 'Deny' }).click();
      await dialog.getByText('is on the allowlist').waitFor();
      await dialog.getByLabel('Address').fill('2001:db8:beef::1');
      await dialog.getByRole('button', { name: 'Deny' }).click();
      await page.locator('.virtual tr', { hasText: '2001:db8:beef::1' }).getByText('own entry').waitFor();

      const box = page.locator('.tall');
      await box.evaluate((node) => {
        node.scrollTop = 6000;
      });
      await page.locator('.virtual tbody tr:has(bdi)').first().waitFor();
      const before = mock.world.denylist.size;
      await page.locator('.virtual tbody tr:has(bdi)').nth(10).getByRole('button', { name: 'Lift' }).click();
      await dialog.getByRole('button', { name: 'Lift' }).click();
      await page.getByText('is served again.').waitFor();
      assert.equal(mock.world.denylist.size, before - 1);
      assert.equal(await box.evaluate((node) => node.scrollTop), 6000);
      await until(() => page.evaluate(() => document.querySelector('main').contains(document.activeElement)));
      await innocent(page, 409);
    }),
  );

  test('the last day of the history is today', LIMIT, () =>
    using({ denials: 5 }, async (page) => {
      const today = () =>
        page.evaluate(() => new Date().toLocaleDateString('en-GB', { day: 'numeric', month: 'short' }));
      await view(page, 'history', 'History');
      // Asked for again, so that a test that runs at midnight sees one day or the next.
      await until(async () => {
        await page.getByLabel('Time').selectOption('7');
        await page.getByLabel('Time').selectOption('30');
        const plot = page.locator('.plot').first();
        await plot.focus();
        await page.keyboard.press('End');
        return (await page.locator('.readout').first().innerText()).startsWith(`${await today()}: `);
      });
    }),
  );

  test('the theme is kept', LIMIT, () =>
    using({ denials: 5 }, async (page) => {
      const theme = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
      await page.getByRole('button', { name: /^Theme/ }).click();
      await page.getByRole('button', { name: /^Theme/ }).click();
      assert.equal(await theme(), 'dark');
      await page.reload();
      await page.getByRole('button', { name: 'Theme: dark' }).waitFor();
      assert.equal(await theme(), 'dark');
    }),
  );
});

describe('when something is wrong', () => {
  const overview = (name, change, texts) =>
    test(name, LIMIT, () =>
      using({ denials: 5, hostile: false }, async (page, { mock }) => {
        change(mock.world);
        await view(page, '', 'Overview');
        for (const text of texts) await page.getByText(text).first().waitFor();
        await accessible(page, name);
        await innocent(page);
      }),
    );

  overview(
    'nothing has come yet',
    (world) => Object.assign(world, { applications: world.applications.slice(2), incidents: [], hours: [] }),
    ['No traffic yet: is api_abuse enabled where requests arrive?', 'Nobody has been convicted.'],
  );
  overview('no application', (world) => Object.assign(world, { applications: [], incidents: [], hours: [] }), [
    'No application yet.',
  ]);
  overview('learning', () => {}, ['Learning, 3 h 12 min left.']);
  overview(
    'everybody has one address',
    (world) => {
      world.applications[0].notes = ['one_address'];
    },
    ['Every client has the same address: is realip configured?'],
  );
  overview(
    'the breaker is open',
    (world) => {
      world.applications[0].state = 'tripped';
    },
    ['nobody is denied.', 'Breaker open'],
  );
  overview(
    'no zone',
    (world) => {
      world.noZone = true;
    },
    ['There is no shared memory.'],
  );
  overview(
    'no detector',
    (world) => {
      world.parts.up = false;
    },
    ['No detector is at work.'],
  );

  test('health says what was lost and what to do', LIMIT, () =>
    using({ denials: 5 }, async (page, { mock }) => {
      Object.assign(mock.world.parts, { lag: 4, dropped: 1200, lost: 7 });
      await view(page, 'health', 'Health');
      for (const text of ['Detection is 4 s behind.', '1,200 requests never reached detection.', 'Denials: 7 lost.'])
        await page.getByText(text).waitFor();
      await accessible(page, 'troubles');
    }),
  );

  test('an incident that is not kept any more', LIMIT, () =>
    using({ denials: 5 }, async (page) => {
      await view(page, 'incidents/ffffffff', 'Incident');
      await page.getByText('This is not kept any more.').waitFor();
      await innocent(page, 404);
    }),
  );

  test('the server fails and comes back; what was seen stays', LIMIT, () =>
    using({ denials: 60 }, async (page, it) => {
      await view(page, 'incidents', 'Incidents');
      it.mock.failing = 503;
      await page.getByText('Nobody took the request').waitFor();
      assert.ok((await page.locator('tbody tr').count()) > 10);
      await page.getByRole('button', { name: 'No answer' }).waitFor();
      await accessible(page, 'stale');
      it.mock.failing = 0;
      await page.getByRole('button', { name: 'Live', exact: true }).waitFor();
      assert.equal(await page.locator('#stale').innerText(), '');
      await innocent(page, 503);
    }),
  );

  test('a page that nobody sees asks for nothing, nor does one that is paused', LIMIT, () =>
    using({ denials: 5 }, async (page) => {
      await view(page, 'health', 'Health');
      const asked = [];
      page.on('request', (request) => asked.push(request.url()));
      const hide = (hidden) =>
        page.evaluate((value) => {
          Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
          document.dispatchEvent(new Event('visibilitychange'));
        }, hidden);
      await hide(true);
      await page.waitForTimeout(3000);
      assert.deepEqual(asked, []);
      await hide(false);
      await until(() => asked.length > 0);
      await page.getByRole('button', { name: 'Live', exact: true }).click();
      await page.getByRole('button', { name: 'Paused' }).waitFor();
      const before = asked.length;
      await page.waitForTimeout(3000);
      assert.equal(asked.length, before);
    }),
  );
});

describe('where it is served', () => {
  test('the location without its slash leads to the page', LIMIT, () =>
    using({ denials: 5 }, async (page, { url }) => {
      await page.goto(url.slice(0, -1));
      assert.equal(page.url().split('#')[0], url);
      await page.locator('.applications').waitFor();
    }),
  );

  test('an address with a password in it', LIMIT, () =>
    using({ denials: 5 }, async (page, { url }) => {
      await page.goto(url.replace('http://', 'http://operator:secret@'));
      await page.locator('.applications').waitFor();
      await innocent(page);
    }),
  );

  test('inline script and style do not run', LIMIT, () =>
    using({ denials: 5 }, async (page) => {
      const outcome = await page.evaluate(() => {
        const script = document.createElement('script');
        try {
          script.textContent = 'window.broken = 1';
          document.body.append(script);
          return 'set';
        } catch (error) {
          return error.name;
        }
      });
      assert.equal(outcome, 'TypeError');
      assert.equal(await page.evaluate(() => window.broken), undefined);
    }),
  );
});
