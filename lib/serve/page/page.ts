import { createHash } from 'node:crypto';
import { page } from '../../html/page';
import { script } from './script';
import { style } from './style';

const body = `<style>${style}</style>
<header>
  <h1>qarepvgg</h1>
  <p id="state" role="status">connecting</p>
  <form id="login" hidden><label>Token <input id="token" type="password" autocomplete="off"></label> <button>Use</button></form>
</header>
<main id="models"></main>
<template id="model">
  <article class="model">
    <h2></h2>
    <p class="about"></p>
    <dl>
      <div><dt>images/s</dt><dd class="rate">0</dd></div>
      <div><dt>latency, ms</dt><dd class="latency">-</dd></div>
      <div><dt>batch</dt><dd class="batch">-</dd></div>
      <div><dt>failed</dt><dd class="failed">0</dd></div>
    </dl>
    <svg class="chart" viewBox="0 0 300 60" preserveAspectRatio="none" role="img" aria-label="images per second over the last minute">
      <polyline class="line a" points=""></polyline>
    </svg>
    <label class="drop" tabindex="0">
      <input type="file" accept="image/*">
      <span>Drop an image here, or choose one</span>
    </label>
    <div class="result" aria-live="polite"></div>
  </article>
</template>
<script>${script}</script>`;

/** The page at `/`: one file without assets, and the policy that lets a browser run nothing but what is in it. */
export const homePage = page('qarepvgg', body);
export const contentSecurityPolicy = policyOf(homePage);

function policyOf(html: string): string {
  const hashes = (tag: string): string =>
    [...html.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, 'g'))]
      .map(
        ([, text]) =>
          `'sha256-${createHash('sha256')
            .update(text as string)
            .digest('base64')}'`,
      )
      .join(' ');
  return [
    "default-src 'none'",
    `script-src ${hashes('script')}`,
    `style-src ${hashes('style')}`,
    'img-src blob:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
