import { servers } from '../support/serving';

const start = servers();

test('the page has a policy that its own contents satisfy, and asks nobody else', async () => {
  const { url } = await start();
  const response = await fetch(url);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  const policy = response.headers.get('content-security-policy');
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe');
  expect(await response.text()).not.toMatch(/(src|href)=|https?:/);
});
