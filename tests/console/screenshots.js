// Pictures of the console for the documentation: `make screenshots`.

import { launch, open, view } from './browser.js';
import { start } from './mock/server.js';

const DOCS = new URL('../../docs/', import.meta.url).pathname;
/** What is drawn: [file, width, height, scheme, view, heading]. */
const PICTURES = [
  ['overview', 1440, 960, 'light', '', 'Overview'],
  ['denylist', 1440, 760, 'dark', 'denylist', 'Denylist'],
  ['incident', 1440, 1010, 'light', 'incidents/', 'Vulnerability scanning'],
  ['history', 1440, 1000, 'dark', 'history', 'History'],
  ['narrow', 390, 844, 'light', 'incidents/', 'Vulnerability scanning'],
];

const mock = await start({ denials: 40, hostile: false, seed: 3 });
const { id } = mock.world.incidents.find(
  ({ plot, application }) => plot.agent === 'gobuster/3.6' && application === 'shop',
);
const browser = await launch();
for (const [name, width, height, scheme, path, heading] of PICTURES) {
  const page = await open(browser, mock.url, { width, scheme });
  await page.setViewportSize({ width, height });
  await view(page, path.endsWith('/') ? path + id : path, heading);
  // A line of the live rate needs a few samples.
  await page.waitForTimeout(path === '' ? 16_000 : 500);
  await page.evaluate(() => document.activeElement.blur());
  await page.screenshot({ path: `${DOCS}console-${name}.png` });
  await page.context().close();
}
await browser.close();
await mock.close();
