/** What the page does, in the JavaScript of browsers: polls statistics, and sends images that are dropped on it. */
export const script = `
'use strict';
const period = 1000, kept = 60;
const state = document.getElementById('state'), login = document.getElementById('login');
const models = new Map();
let token = '';

async function ask(path, options = {}) {
  const headers = token ? { authorization: 'Bearer ' + token } : {};
  const response = await fetch(path, { ...options, headers, cache: 'no-store' });
  login.hidden = response.status !== 401;
  const body = await response.json();
  if (!response.ok) throw new Error(body.error || response.statusText);
  return body;
}

function add(key, { name, version }) {
  const card = document.getElementById('model').content.firstElementChild.cloneNode(true);
  const find = (selector) => card.querySelector(selector);
  find('h2').textContent = name + (version === '1' ? '' : ', version ' + version);
  const path = '/v2/models/' + encodeURIComponent(name) + '/versions/' + version;
  const drop = find('.drop'), input = find('.drop input');
  ask(path).then(({ platform, inputs, outputs }) => {
    const text = ({ name, datatype, shape }) => name + ' ' + datatype + ' [' + shape.join(', ') + ']';
    find('.about').textContent = platform + ': ' + inputs.map(text).join(', ') + ' \\u2192 ' + outputs.map(text).join(', ');
    // Only classifiers answer for a dropped image.
    drop.hidden = inputs.length !== 1 || inputs[0].shape.length !== 4 || outputs[0].shape.length !== 2;
  }).catch(() => {});
  const over = (on) => (event) => { event.preventDefault(); drop.classList.toggle('over', on); };
  drop.addEventListener('dragover', over(true));
  drop.addEventListener('dragleave', over(false));
  drop.addEventListener('drop', (event) => {
    over(false)(event);
    if (event.dataTransfer.files[0]) classify(path, event.dataTransfer.files[0], find('.result'));
  });
  input.addEventListener('change', () => {
    if (input.files[0]) classify(path, input.files[0], find('.result'));
    input.value = '';
  });
  document.getElementById('models').append(card);
  const model = { card, find, rates: [], last: undefined };
  models.set(key, model);
  return model;
}

async function classify(path, file, result) {
  const image = document.createElement('img');
  image.alt = file.name;
  image.src = URL.createObjectURL(file);
  image.onload = () => {
    image.classList.toggle('small', image.naturalWidth < 64);
    URL.revokeObjectURL(image.src);
  };
  const list = document.createElement('ol');
  result.replaceChildren(image, list);
  try {
    const { classes } = await ask(path + '/classify?top=5', { method: 'POST', body: file });
    for (const { index, label, probability } of classes) {
      const [item, name, share, bar] = ['li', 'span', 'span', 'progress'].map((tag) => document.createElement(tag));
      name.textContent = label === undefined ? 'class ' + index : label;
      share.textContent = (100 * probability).toFixed(1) + ' %';
      bar.value = probability;
      item.append(name, share, bar);
      list.append(item);
    }
  } catch (error) {
    const item = document.createElement('li');
    item.className = 'error';
    item.textContent = error.message;
    list.append(item);
  }
}

function show(model, stats, now) {
  const { count, ns } = stats.inference_stats.success;
  const point = { now, count, ns, images: stats.inference_count, batches: stats.execution_count };
  const last = model.last || point;
  model.last = point;
  const spent = now - last.now;
  const rate = spent > 0 ? (1000 * (point.images - last.images)) / spent : 0;
  const digits = (value) => value === 0 ? '0' : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
  model.rates = [...model.rates, rate].slice(-kept);
  model.find('.rate').textContent = digits(rate);
  if (count > last.count) model.find('.latency').textContent = digits((ns - last.ns) / (count - last.count) / 1e6);
  if (point.batches > last.batches) model.find('.batch').textContent = digits((point.images - last.images) / (point.batches - last.batches));
  model.find('.failed').textContent = stats.inference_stats.fail.count;
  const most = Math.max(1, ...model.rates);
  const points = model.rates.map((value, i) => (300 * (kept - model.rates.length + i)) / (kept - 1) + ',' + (57 - (54 * value) / most));
  model.find('polyline').setAttribute('points', points.join(' '));
}

async function poll() {
  try {
    const { model_stats: all } = await ask('/v2/models/stats');
    const keys = new Set();
    for (const stats of all) {
      const key = stats.name + ' ' + stats.version;
      keys.add(key);
      show(models.get(key) || add(key, stats), stats, performance.now());
    }
    for (const [key, { card }] of models) if (!keys.has(key)) { card.remove(); models.delete(key); }
    state.textContent = 'serving ' + all.length + (all.length === 1 ? ' model' : ' models');
  } catch (error) {
    state.textContent = login.hidden ? 'no connection' : 'this server asks for a token';
  }
  setTimeout(poll, period);
}

login.addEventListener('submit', (event) => {
  event.preventDefault();
  token = document.getElementById('token').value.trim();
});
poll();
`;
