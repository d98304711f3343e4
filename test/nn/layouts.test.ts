import {
  type ArchitectureName,
  type BlockOptions,
  createModel,
  type Layout,
  type Network,
  QARepVGGBlock,
  RepVGGBlock,
  randn,
  type StateDict,
  type Variant,
} from '../../lib';
import { randomBlock } from '../support/blocks';
import { bits } from '../support/compare';
import { randomNetwork, tiny } from '../support/networks';
import { expectRefusal } from '../support/refusal';

const layouts: readonly Layout[] = ['official', 'yolov6', 'repvgg', 'seed', 'super-gradients', 'timm'];
const channels = { inChannels: 16, outChannels: 16 };
const square: BlockOptions = channels;
const image = randn([1, 2, 17, 17], { seed: 1 });

function block(options: Partial<BlockOptions> = {}) {
  return randomBlock({ ...square, ...options }, 1, { minVariance: 0.5, maxVariance: 2 });
}

const norm = (name: string) =>
  ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'].map((part) => `${name}.${part}`);

describe('names of a block', () => {
  // As the code of each project names them.
  test.each<[Layout, Variant, string[]]>([
    ['super-gradients', 'S3', [...dense('branch_3x3'), 'branch_1x1.weight', 'rbr_reparam.weight', 'rbr_reparam.bias']],
    [
      'super-gradients',
      'S4',
      [...dense('branch_3x3'), 'branch_1x1.weight', ...norm('post_bn'), 'rbr_reparam.weight', 'rbr_reparam.bias'],
    ],
    ['super-gradients', 'S1', [...dense('branch_3x3'), ...dense('branch_1x1'), ...norm('no_conv_branch')]],
    ['timm', 'S1', [...dense('conv_kxk'), ...dense('conv_1x1'), ...norm('identity')]],
    ['repvgg', 'S0', [...dense('rbr_dense'), ...dense('rbr_1x1'), ...norm('rbr_identity')]],
    ['yolov6', 'S4', [...dense('rbr_dense'), 'rbr_1x1.weight', ...norm('bn')]],
  ])('%s, %s', (layout, variant, keys) => {
    expect(Object.keys(block({ variant }).stateDict({ layout })).sort()).toEqual(keys.sort());
  });

  function dense(name: string): string[] {
    return [`${name}.conv.weight`, ...norm(`${name}.bn`)];
  }

  test.each<[Layout, string[]]>([
    ['super-gradients', ['rbr_reparam.weight', 'rbr_reparam.bias']],
    ['timm', ['reparam_conv.weight', 'reparam_conv.bias']],
    ['repvgg', ['rbr_reparam.weight', 'rbr_reparam.bias']],
    ['yolov6', ['rbr_reparam.weight', 'rbr_reparam.bias']],
    ['seed', ['weight', 'bias']],
  ])('%s, deploy form', (layout, keys) => {
    expect(Object.keys(block().switchToDeploy().stateDict({ layout }))).toEqual(keys);
  });

  test('partial form: what super-gradients and YOLOv6 make', () => {
    const partial = block().switchToDeploy({ keepPostBn: true });
    const fused = ['rbr_reparam.weight', 'rbr_reparam.bias'];
    expect(Object.keys(partial.stateDict({ layout: 'yolov6' }))).toEqual([...fused, ...norm('bn')]);
    expect(Object.keys(partial.stateDict({ layout: 'super-gradients' }))).toEqual([...fused, ...norm('post_bn')]);
  });
});

describe('names of a network', () => {
  const stages = (layout: Layout, form: 'train' | 'deploy') => {
    const model = randomNetwork('repvgg_d2se');
    if (form === 'deploy') model.switchToDeploy();
    return Object.keys(model.stateDict({ layout }));
  };

  test.each<[Layout, string[]]>([
    ['repvgg', ['stage0.rbr_dense.conv.weight', 'stage1.0.rbr_1x1.bn.bias', 'stage4.0.se.down.weight', 'linear.bias']],
    [
      'timm',
      ['stem.conv_kxk.conv.weight', 'stages.0.0.conv_1x1.bn.bias', 'stages.3.0.attn.fc1.weight', 'head.fc.bias'],
    ],
    ['super-gradients', ['stem.branch_3x3.conv.weight', 'stage1.0.branch_1x1.bn.bias', 'linear.bias']],
  ])('%s', (layout, some) => {
    expect(stages(layout, 'train')).toEqual(expect.arrayContaining(some));
  });

  test('timm, deploy form', () => {
    const some = [
      'stem.reparam_conv.weight',
      'stages.0.1.reparam_conv.bias',
      'stages.3.0.attn.fc2.bias',
      'head.fc.weight',
    ];
    expect(stages('timm', 'deploy')).toEqual(expect.arrayContaining(some));
  });
});

describe.each(['S0', 'S1', 'S2', 'S3', 'S4'] as const)('round trips, %s', (variant) => {
  const forms = variant === 'S4' ? (['train', 'partial', 'deploy'] as const) : (['train', 'deploy'] as const);

  test.each(forms)('%s form, in every layout that has names for it', (form) => {
    const [from, to] = [
      randomNetwork('qarepvgg_a0', { ...tiny, variant }),
      randomNetwork('qarepvgg_a0', { ...tiny, variant }, 2),
    ];
    for (const model of [from, to]) if (form !== 'train') model.switchToDeploy({ keepPostBn: form === 'partial' });
    const expected = bits(from.forward(image));
    const able: Layout[] = [];
    for (const layout of layouts) {
      let state: StateDict;
      try {
        state = from.stateDict({ layout });
      } catch (error) {
        expect((error as Error).message).toContain(`option layout: expected "official"`);
        continue;
      }
      able.push(layout);
      for (const { data } of Object.values(to.parameters())) data.fill(0);
      expect(to.loadStateDict(state, { layout })).toEqual({ missing: [], unexpected: [] });
      expect(bits(to.forward(image))).toBe(expected);
    }
    const trained = {
      S0: ['official', 'yolov6', 'repvgg', 'super-gradients', 'timm'],
      S2: ['official'],
      S3: ['official', 'super-gradients'],
      S4: ['official', 'yolov6', 'seed', 'super-gradients'],
    };
    const known = form === 'deploy' ? layouts : trained[variant === 'S1' ? 'S0' : variant];
    expect(able).toEqual(layouts.filter((layout) => known.includes(layout)));
  });
});

describe('super-gradients', () => {
  test("its placeholders are written as zeros of the convolution's dims, and not read", () => {
    const from = block({ groups: 4 });
    const state = from.stateDict({ layout: 'super-gradients' });
    expect(state['rbr_reparam.weight']).toEqual({ data: new Float32Array(16 * 4 * 9), dims: [16, 4, 3, 3] });
    expect(state['rbr_reparam.bias']).toEqual({ data: new Float32Array(16), dims: [16] });
    state['rbr_reparam.bias']?.data.fill(Number.NaN);
    const { 'rbr_reparam.weight': placeholder, ...rest } = state;
    expect(placeholder).toBeDefined();
    const to = new QARepVGGBlock({ ...square, groups: 4 });
    for (const given of [state, rest]) {
      expect(to.loadStateDict(given, { layout: 'super-gradients' })).toEqual({ missing: [], unexpected: [] });
    }
    expect(bits(...Object.values(to.stateDict()))).toBe(bits(...Object.values(from.stateDict())));
  });

  test('alpha of its RepVGG block is another one', () => {
    const repvgg = new QARepVGGBlock({ ...square, variant: 'S1', alpha: true });
    expectRefusal(() => repvgg.stateDict({ layout: 'super-gradients' }), 'ERR_INVALID_ARG', 'option layout');
  });
});

describe('advice', () => {
  const loading = (model: { loadStateDict(state: StateDict): unknown }, state: StateDict) => () =>
    model.loadStateDict(state);

  test('another layout, another prefix, both', () => {
    const model = randomNetwork('repvgg_a0');
    const timm = model.stateDict({ layout: 'timm' });
    expectRefusal(loading(model, timm), 'ERR_MODEL_INCOMPATIBLE', "the received keys fit with { layout: 'timm' }");
    const nested = Object.fromEntries(Object.entries(timm).map(([name, tensor]) => [`model.${name}`, tensor]));
    const words = `the received keys fit with { layout: 'timm' } when the prefix "model." is removed`;
    expectRefusal(loading(model, nested), 'ERR_MODEL_INCOMPATIBLE', words);
  });

  test('another form', () => {
    const make = () => createModel('qarepvgg_a0', tiny).eval();
    const [train, partial, deploy] = [make(), make().switchToDeploy({ keepPostBn: true }), make().switchToDeploy()];
    const code = 'ERR_MODEL_INCOMPATIBLE';
    expectRefusal(loading(train, deploy.stateDict()), code, 'first call eval().switchToDeploy() on the module');
    expectRefusal(
      loading(train, partial.stateDict()),
      code,
      'eval().switchToDeploy({ keepPostBn: true }) on the module',
    );
    expectRefusal(loading(partial, deploy.stateDict()), code, 'first call eval().switchToDeploy() on the module');
    expectRefusal(loading(deploy, train.stateDict()), code, 'make a new module and switch it after loading');
    const twice = 'make a new module and call eval().switchToDeploy({ keepPostBn: true }) on it first';
    expectRefusal(loading(deploy, partial.stateDict()), code, twice);
  });

  const forms = ['train', 'partial', 'deploy'] as const;
  const inForm = (form: (typeof forms)[number], make: () => QARepVGGBlock | Network) =>
    form === 'train' ? make() : make().switchToDeploy({ keepPostBn: form === 'partial' });

  test.each(['seed', 'super-gradients', 'official'] as const)(
    'another form, in layout %s: named, and what to do works',
    (layout) => {
      const ways = {
        train: (module: QARepVGGBlock | Network) => module,
        partial: (module: QARepVGGBlock | Network) => module.switchToDeploy({ keepPostBn: true }),
        deploy: (module: QARepVGGBlock | Network) => module.switchToDeploy(),
      };
      const words = {
        train: 'make a new module and switch it after loading',
        partial: 'eval().switchToDeploy({ keepPostBn: true }) on',
        deploy: 'eval().switchToDeploy() on',
      };
      for (const make of [() => block(), () => randomNetwork('qarepvgg_a0')]) {
        for (const own of forms) {
          for (const given of forms.filter((form) => form !== own)) {
            const state = inForm(given, make).stateDict({ layout });
            const load = (module: QARepVGGBlock | Network, as = layout) => module.loadStateDict(state, { layout: as });
            expectRefusal(() => load(inForm(own, make)), 'ERR_MODEL_INCOMPATIBLE', words[given]);
            expectRefusal(() => load(inForm(own, make)), 'ERR_MODEL_INCOMPATIBLE', `${given} form\n`);
            expect(load(ways[given](make()))).toEqual({ missing: [], unexpected: [] });
          }
        }
      }
    },
  );

  test('another form and another layout', () => {
    const seed = inForm('partial', block).stateDict({ layout: 'seed' });
    const words =
      "to load these weights with { layout: 'seed' }, first call eval().switchToDeploy({ keepPostBn: true })";
    expectRefusal(loading(block(), seed), 'ERR_MODEL_INCOMPATIBLE', words);
    const load = () => block().loadStateDict(block().stateDict(), { layout: 'seed' });
    expectRefusal(load, 'ERR_MODEL_INCOMPATIBLE', "the received keys fit with { layout: 'official' }");
  });

  test('another kind of blocks: how to make the module that fits, and so it does', () => {
    const words = 'the received keys are those of another kind of blocks: make the module with ';
    const refused = (
      module: Network | QARepVGGBlock | RepVGGBlock,
      state: StateDict,
      call: string,
      layout: Layout = 'official',
    ) => expectRefusal(() => module.loadStateDict(state, { layout }), 'ERR_MODEL_INCOMPATIBLE', words + call);
    const network = (name: ArchitectureName, more = {}) => createModel(name, { ...tiny, ...more });
    const [qa, rep] = [network('qarepvgg_a0'), network('repvgg_a0')];
    refused(qa, rep.stateDict(), "createModel('repvgg_a0')");
    refused(rep, qa.stateDict(), "createModel('qarepvgg_a0')");
    refused(qa, rep.stateDict({ layout: 'timm' }), "createModel('repvgg_a0') and { layout: 'timm' }");
    refused(qa, network('qarepvgg_a0', { variant: 'S3' }).stateDict(), "createModel('qarepvgg_a0', { variant: 'S3' })");
    const biased = network('qarepvgg_a0', { pointwiseBias: true }).stateDict({ layout: 'super-gradients' });
    refused(qa, biased, "createModel('qarepvgg_a0', { pointwiseBias: true })", 'super-gradients');
    const alpha = new RepVGGBlock({ ...channels, alpha: true }).stateDict();
    refused(block(), alpha, 'new RepVGGBlock({ ..., alpha: true })');
    refused(new RepVGGBlock({ ...channels, variant: 'S0' }), block().stateDict(), 'new QARepVGGBlock({ ... })');
    // The same kind with something else: nothing to advise.
    expect(() => qa.loadStateDict({ ...qa.stateDict(), more: randn([1]) })).toThrow(/unexpected: "more"$/);
  });

  test('another architecture: what differs is named, and not all of a thousand', () => {
    const small = createModel('qarepvgg_a0', tiny);
    const deep = createModel('qarepvgg_a0', { ...tiny, blocks: [2, 9, 9, 1], channels: [4, 4, 8, 12, 20] });
    const words = 'wrong dims: "stage4.0.rbr_dense.conv.weight" (expected [16, 12, 3, 3], received [20, 12, 3, 3])';
    expectRefusal(loading(small, deep.stateDict()), 'ERR_MODEL_INCOMPATIBLE', words);
    expectRefusal(loading(deep, small.stateDict()), 'ERR_MODEL_INCOMPATIBLE', 'and 164 more');
    const classes = createModel('qarepvgg_a0', { ...tiny, numClasses: 7 });
    expectRefusal(
      loading(small, classes.stateDict()),
      'ERR_MODEL_INCOMPATIBLE',
      'the names fit: make the module with the sizes',
    );
  });

  test('a block of YOLOv6 that is half fused', () => {
    const { 'rbr_dense.conv.weight': weight, ...rest } = block().stateDict();
    const half = Object.entries(rest).filter(([name]) => !name.startsWith('rbr_dense.bn.'));
    const state = { ...Object.fromEntries(half), 'rbr_dense.conv.weight': weight, 'rbr_dense.conv.bias': randn([16]) };
    expectRefusal(
      loading(block(), state as StateDict),
      'ERR_MODEL_INCOMPATIBLE',
      'between its fuse_model and switch_to_deploy',
    );
  });
});

describe('what names do not show', () => {
  const code = 'ERR_MODEL_INCOMPATIBLE';

  test('the average branch of YOLOv6: the same tensors, another function', () => {
    const [plain, average] = [block(), block({ averageBranch: true })];
    const load = () => plain.loadStateDict(average.stateDict());
    expectRefusal(
      load,
      code,
      'weights made with averageBranch false, received true; make the module with averageBranch true',
    );
    expect(bits(...Object.values(plain.stateDict()))).toBe(bits(...Object.values(block().stateDict())));
    // Folded, there is no difference any more.
    plain.switchToDeploy();
    plain.loadStateDict(average.switchToDeploy().stateDict());
  });

  test('eps, stride, activation; of a network eps and strides', () => {
    const cases: [BlockOptions, string][] = [
      [{ ...square, eps: 1e-3 }, 'eps 0.00001, received 0.001'],
      [{ ...square, stride: 2 }, 'stride 1, received 2'],
      [{ ...square, activation: 'none' }, 'activation relu, received none'],
    ];
    for (const [options, words] of cases) {
      const state = new QARepVGGBlock(options).stateDict();
      expectRefusal(() => new QARepVGGBlock(square).loadStateDict(state), code, words);
    }
    const network = createModel('qarepvgg_a0', { ...tiny, strides: [2, 2, 2, 1, 1] });
    const words = 'strides [2,2,2,2,2], received [2,2,2,1,1]';
    expectRefusal(() => createModel('qarepvgg_a0', tiny).loadStateDict(network.stateDict()), code, words);
  });

  test('a copy, or a load that is not strict, goes through', () => {
    const state = block({ averageBranch: true }).stateDict();
    block().loadStateDict({ ...state });
    expect(block().loadStateDict(state, { strict: false })).toEqual({ missing: [], unexpected: [] });
  });
});
