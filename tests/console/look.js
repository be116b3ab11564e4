// What somebody sees who opens the console for the first time: `npm run look -- http://127.0.0.1:8080/abuse/ [PICTURE]`.
// Goes from the overview to the newest conviction and to the denylist, and writes what is there. Fails when nobody
// is denied.

import { launch, open, view } from './browser.js';

const [url, picture] = process.argv.slice(2);
if (!url) throw new Error('usage: look.js URL [PICTURE]');
const browser = await launch();
const page = await open(browser, url);

const texts = async (selector) => (await page.locator(selector).allInnerTexts()).map((text) => text.replace(/\s+/g, ' '));

await page.locator('.recent li a').first().click();
await page.getByRole('heading', { name: 'What was unusual' }).waitFor();
console.log(`the newest conviction: ${(await texts('.incident-head')).join(' ')}`);
for (const row of await texts('.findings tbody tr')) console.log(`  ${row}`);
if (picture) await page.screenshot({ path: picture });
await view(page, 'denylist', 'Denylist');
const rows = await texts('.virtual tbody tr:has(bdi)');
console.log(`${(await texts('.count')).join()} in the denylist:`);
for (const row of rows) console.log(`  ${row}`);
for (const complaint of page.complaints) console.log(`complaint: ${complaint}`);
await browser.close();
process.exitCode = rows.length > 0 && page.complaints.length === 0 ? 0 : 1;
