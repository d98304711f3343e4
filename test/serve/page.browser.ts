import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../support/child';
import { Chromium } from '../support/chromium';
import { servers } from '../support/serving';

const start = servers();
const boot = path.join(root, 'examples/images/ankle-boot.png');
const body = JSON.stringify({
  inputs: [{ name: 'input', shape: [1, 1, 28, 28], datatype: 'FP32', data: Array(784).fill(0) }],
});

test('shows models, throughput and what an image is', async () => {
  const { url } = await start();
  const page = await Chromium.open(url);
  try {
    await page.waitFor(`document.querySelector('h2')?.textContent === 'fashion-mnist'`);
    await page.waitFor(`document.querySelector('.about').textContent.includes('input FP32 [-1, 1, 28, 28]')`);
    await page.chooseFile('.drop input', boot);
    await page.waitFor(`document.querySelectorAll('.result li').length === 5`);
    expect(await page.evaluate(`document.querySelector('.result li span').textContent`)).toBe('Ankle boot');
    await page.waitFor(`document.querySelector('.result img').naturalWidth === 28`);
    for (let i = 0; i < 200; i++)
      await (await fetch(`${url}/v2/models/fashion-mnist/infer`, { method: 'POST', body })).text();
    await page.waitFor(`Number(document.querySelector('.rate').textContent) > 0`);
    await page.waitFor(`document.querySelector('.latency').textContent !== '-'`);
    const { SCREENSHOT } = process.env;
    if (SCREENSHOT) writeFileSync(SCREENSHOT, await page.screenshot());
    await page.chooseFile('.drop input', path.join(root, 'README.md'));
    await page.waitFor(`document.querySelector('.result .error')?.textContent.includes('expected an image')`);
    // The browser's own note of the answer 400 is no fault of the page.
    expect(page.problems.filter((problem) => !problem.includes('status of 400'))).toEqual([]);
  } finally {
    await page.close();
  }
});

test('asks for the token of a server that has one', async () => {
  const { url } = await start({ token: 'a-token-of-tests' });
  const page = await Chromium.open(url);
  try {
    await page.waitFor(`!document.getElementById('login').hidden`);
    await page.evaluate(
      `document.getElementById('token').value = 'a-token-of-tests'; document.querySelector('#login button').click()`,
    );
    await page.waitFor(`document.querySelector('h2')?.textContent === 'fashion-mnist'`);
    await page.waitFor(`document.getElementById('login').hidden`);
  } finally {
    await page.close();
  }
});
