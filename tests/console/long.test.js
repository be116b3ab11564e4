// A denylist of 100,000 entries: made by the mock, or in front of a real NGINX by tests/tests/browser.rs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { WIDTHS, accessible, innocent, launch, open, view } from './browser.js';
import { real, target, until } from './target.js';

const LIMIT = { timeout: 180_000 };
/** Of the real list, 10.0.0.0 and so on, each of the network's addresses; of the mock's, anywhere in 10.0.0.0/8, some. */
const [NETWORK, START, LEAST, MOST] = real ? ['10.1.7.0/24', '10.1.7.', 256, 256] : ['10.7.0.0/16', '10.7.', 100, 1000];

let browser;
let it;
before(async () => {
  browser = await launch();
  it = await target({ denials: 100_000 });
});
after(async () => {
  await browser.close();
  await it.close();
});

for (const width of WIDTHS) {
  test(`100,000 entries scroll at ${width} pixels`, LIMIT, async () => {
    const page = await open(browser, it.url, { width });
    await view(page, 'denylist', 'Denylist');
    const total = await counted(page, /^[\d,]+ entries$/);
    assert.ok(total >= 100_000, `${total} entries`);
    await scroll(page, total);
    await accessible(page, 'long denylist');
    await search(page);
    await order(page);
    await innocent(page);
    await page.context().close();
  });
}

/** The number that the page counts, once it is told in this form. */
async function counted(page, form) {
  const count = page.locator('.count', { hasText: form });
  await count.waitFor();
  return Number.parseInt((await count.innerText()).replaceAll(',', ''), 10);
}

/** To the middle, the end, and back: the rows of that place come, and only those exist. */
async function scroll(page, total) {
  const box = page.locator('.tall');
  for (const share of [0.5, 1, 0.2]) {
    await box.evaluate((node, to) => {
      node.scrollTop = to * (node.scrollHeight - node.clientHeight);
    }, share);
    const row = Math.round(share * (total - 1)) + 2;
    await until(() => rowsInSight(page).then((rows) => rows.some((index) => Math.abs(index - row) < 20)));
    assert.ok((await page.locator('.virtual tbody tr').count()) < 80, 'only rows in sight exist');
  }
}

async function search(page) {
  await page.getByLabel('Search').fill(NETWORK);
  const found = await counted(page, /^\d+ found$/);
  assert.ok(found >= LEAST && found <= MOST, `${found} found`);
  const addresses = await page.locator('.virtual .source bdi').allInnerTexts();
  assert.ok(addresses.length > 5 && addresses.every((address) => address.startsWith(START)), String(addresses));
}

/** Who was refused most comes first; the real list has three who were, of this network. */
async function order(page) {
  await page.getByLabel('Order').selectOption('-hits');
  await until(async () => {
    const hits = (await page.locator('.virtual td.col-hits').allInnerTexts()).map((text) =>
      Number.parseInt(text.replaceAll(',', ''), 10),
    );
    return hits.length > 5 && hits[2] > 0 && hits.every((value, index) => index === 0 || value <= hits[index - 1]);
  });
}

/** `aria-rowindex` of the loaded rows. */
const rowsInSight = (page) =>
  page
    .locator('.virtual tbody tr:not(.gap):has(bdi)')
    .evaluateAll((rows) => rows.map((row) => Number(row.getAttribute('aria-rowindex'))));
