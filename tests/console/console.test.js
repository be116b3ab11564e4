// The page as an operator uses it, at the width of a telephone and of a desk. All of this also runs against a
// real NGINX: see target.js.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { WIDTHS, accessible, innocent, launch, open, view } from './browser.js';
import { attackable, target, until } from './target.js';

const VIEWS = [
  ['', 'Overview'],
  ['denylist', 'Denylist'],
  ['allowlist', 'Allowlist'],
  ['incidents', 'Incidents'],
  ['history', 'History'],
  ['health', 'Health'],
];
const LIMIT = { timeout: 180_000 };

let browser;
let it;

before(async () => {
  browser = await launch();
  it = await target({ denials: 60 });
});
after(async () => {
  await browser.close();
  await it.close();
});

for (const width of WIDTHS) {
  describe(`at ${width} pixels`, () => {
    for (const scheme of ['light', 'dark']) {
      test(`every view, ${scheme}`, LIMIT, async () => {
        const page = await open(browser, it.url, { width, scheme });
        for (const [name, title] of VIEWS) {
          await view(page, name, title);
          assert.equal(await page.title(), `${title} – API abuse`);
          assert.equal(await page.locator('nav a[aria-current=page]').innerText(), title);
          await accessible(page, `${title}, ${scheme}`);
        }
        const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
        const [, red] = /(\d+)/.exec(background);
        assert.equal(Number(red) < 128, scheme === 'dark', background);
        await innocent(page);
        await page.context().close();
      });
    }

    test('an attack appears, is explained, lifted and allowlisted', { ...LIMIT, skip: !attackable }, async () => {
      const page = await open(browser, it.url, { width });
      await view(page, '', 'Overview');
      const address = await it.attack();
      await page.locator('.recent li', { hasText: address }).first().getByRole('link').click();
      await page.getByRole('heading', { name: 'What was unusual' }).waitFor();
      await explained(page, address);
      await accessible(page, 'incident');
      assert.equal(await it.served(), false);
      await lift(page, address);
      await until(() => it.served());
      await allowlist(page, address);
      assert.equal(await page.locator('main img, main script, main iframe').count(), 0, 'hostile text is text');
      await innocent(page);
      await page.context().close();
    });

    test('the strip of views shows the one it is at', LIMIT, async () => {
      const page = await open(browser, it.url, { width: Math.min(width, 260) });
      for (const [name, title] of [VIEWS.at(-1), ...VIEWS]) {
        await view(page, name, title);
        const { x, width: wide } = await page.locator('nav a[aria-current=page]').boundingBox();
        assert.ok(x >= -1 && x + wide <= 261, `${title} is at ${x}, ${wide} wide`);
      }
      await page.context().close();
    });

    test('keyboard alone', LIMIT, async () => {
      const page = await open(browser, it.url, { width });
      await page.locator('.applications').waitFor();
      await skip(page);
      await chart(page);
      await dialog(page);
      await innocent(page, 422);
      await page.context().close();
    });
  });
}

/** The incident names the source and shows a value, what is normal, and their multiple. */
async function explained(page, address) {
  assert.ok((await page.locator('.incident-head').innerText()).includes(address));
  const row = page.locator('.findings tbody tr').first();
  const [value, normal, multiple] = await row.locator('td').allInnerTexts();
  const [seen, bound] = [value, normal.replace(/^< /, '')].map((text) => Number(text.replaceAll(',', '')));
  assert.match(normal, /^< [0-9.,]+$/);
  assert.match(multiple, /^[0-9.,]+x$/);
  assert.ok(seen > bound, `${value} is not above ${bound}`);
  assert.ok(Math.abs(parseFloat(multiple.replaceAll(',', '')) - seen / bound) <= (seen / bound) * 0.1, multiple);
  assert.ok((await page.locator('.requests tbody tr').count()) > 0, 'exemplar requests');
  for (const name of ['Timeline', 'Who else is at this address', 'Why this threat and not another']) {
    await page.getByRole('heading', { name }).waitFor();
  }
}

async function lift(page, address) {
  await page.getByRole('button', { name: 'Lift', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Lift' }).click();
  await page.getByText(`${address} is served again.`).waitFor();
  await page.getByText('not denied now').waitFor();
}

/** Adds the source of an incident, attacks again in vain, and removes it. */
async function allowlist(page, address) {
  await page.getByRole('button', { name: 'Allowlist', exact: true }).click();
  const dialog = page.getByRole('dialog');
  assert.equal(await dialog.getByLabel('Address or network').inputValue(), address);
  await dialog.getByLabel('Comment').fill('a test <b>of</b> ours');
  await dialog.getByRole('button', { name: 'Allow' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await view(page, 'allowlist', 'Allowlist');
  const row = page.locator('tbody tr', { hasText: address });
  await row.waitFor();
  assert.ok((await row.innerText()).includes('a test <b>of</b> ours'));
  assert.equal(await it.again(), true, 'what is allowed is never denied');
  await view(page, 'denylist', 'Denylist');
  assert.equal(await page.locator('tbody tr', { hasText: address }).count(), 0);
  await view(page, 'allowlist', 'Allowlist');
  await row.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await row.waitFor({ state: 'detached' });
}

async function skip(page) {
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
}

/** The keys of a chart read its bars. */
async function chart(page) {
  const plot = page.locator('.plot').first();
  if ((await plot.count()) === 0) return;
  const readout = page.locator('.readout').first();
  const sum = await readout.innerText();
  await plot.focus();
  await page.keyboard.press('End');
  assert.match(await readout.innerText(), / to now: /);
  await page.keyboard.press('ArrowLeft');
  assert.doesNotMatch(await readout.innerText(), / to now: /);
  await page.keyboard.press('Tab');
  assert.equal(await readout.innerText(), sum);
}

/** From the navigation to a dialog and back, and the focus is where it was. */
async function dialog(page) {
  await page.locator('nav a', { hasText: 'Allowlist' }).focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(
    () => document.activeElement.tagName === 'H1' && document.activeElement.textContent === 'Allowlist',
  );
  await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'Allow an address');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.type('192.0.2.9/24');
  await page.keyboard.press('Enter');
  await page.locator('.trouble', { hasText: 'bits below its prefix' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.equal(await focused(page), 'Allow an address');
}

const focused = (page) => page.evaluate(() => document.activeElement.textContent);
