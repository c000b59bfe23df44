/** `image create --config` with what Docker prints of images and containers, fields and all. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Image } from '../../src/model/image.ts';
import { cliFixture, failed, succeeded } from '../support/cli-fixture.ts';
import type { CliFixture, CliResult } from '../support/cli-fixture.ts';

/** Docker 24: every field is there, with nothing in most. */
const webServer = {
  Id: 'sha256:7f553e8bbc897571642d836b31eaf6ecbe395d7641c2b24291356ed28f3f2bd0',
  RepoTags: ['shop-front:2'],
  RepoDigests: [],
  Parent: '',
  Comment: 'buildkit.dockerfile.v0',
  Created: '2023-11-21T18:34:17.201Z',
  Container: '',
  ContainerConfig: { Hostname: '', User: '', Env: null, Cmd: null, Image: '', Volumes: null, Labels: null },
  DockerVersion: '',
  Author: '',
  Config: {
    Hostname: '',
    Domainname: '',
    User: '',
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    ExposedPorts: { '80/tcp': {} },
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'FRONT=1'],
    Cmd: ['front', '-g', 'daemon off;'],
    ArgsEscaped: true,
    Image: '',
    Volumes: null,
    WorkingDir: '',
    Entrypoint: ['/entrypoint.sh'],
    OnBuild: null,
    Labels: { maintainer: 'somebody' },
    StopSignal: 'SIGQUIT',
  },
  Architecture: 'amd64',
  Os: 'linux',
  Size: 186780022,
  VirtualSize: 186780022,
  GraphDriver: { Data: { MergedDir: '/var/lib/docker/overlay2/a/merged' }, Name: 'overlay2' },
  RootFS: { Type: 'layers', Layers: ['sha256:92770f546e065c4942829b1f0d7d1f02c2eb1e6acf0d1bc08ef0bf6be4972839'] },
  Metadata: { LastTagTime: '0001-01-01T00:00:00Z' },
};

/** Docker 28 leaves out what is empty; this image has a volume and a check with its own pace at the start. */
const database = {
  Id: 'sha256:0c1e8e8cbb0b1b3f6b8e7c7fd0a4f10d8c5db1f0a7c67d1a5f2fbd3e5d5a6b11',
  RepoTags: ['store:17'],
  RepoDigests: ['store@sha256:2d7d1f1ab0b3a11a7cbb62b1b7b0c87d5be2a1ea2b1e6a39a5f6f9d8a1f0f3c2'],
  Created: '2025-06-10T22:11:05Z',
  Config: {
    ExposedPorts: { '5432/tcp': {} },
    Env: ['PGDATA=/var/lib/store/data'],
    Cmd: ['store'],
    Healthcheck: {
      Test: ['CMD-SHELL', 'store-ready'],
      Interval: 10_000_000_000,
      Timeout: 5_000_000_000,
      StartPeriod: 30_000_000_000,
      StartInterval: 1_000_000_000,
      Retries: 5,
    },
    Volumes: { '/var/lib/store/data': {} },
    WorkingDir: '/',
    Entrypoint: ['docker-entrypoint.sh'],
    User: 'store',
    StopSignal: 'SIGINT',
  },
  Architecture: 'amd64',
  Os: 'linux',
  Descriptor: { mediaType: 'application/vnd.oci.image.index.v1+json', digest: 'sha256:2d7d', size: 9408 },
  RootFS: { Type: 'layers', Layers: ['sha256:ace34d1d784ccaca3e0f0e3d8a1f0f3c2a3b0b7b6d1e5c4a7f4d9f7c0b6e5a31'] },
};

const { ArgsEscaped: _, ...ofWebServer } = webServer.Config;
const container = {
  Id: '4f1c',
  Path: '/entrypoint.sh',
  Args: ['front'],
  State: { Status: 'created', Running: false },
  Image: webServer.Id,
  Name: '/quick_turing',
  HostConfig: { NetworkMode: 'default' },
  Config: { ...ofWebServer, Hostname: '4f1c0a7de3b2', AttachStdout: true, Image: 'shop-front:2', StopTimeout: 5 },
  NetworkSettings: { Ports: {} },
};

const webServerKept = {
  User: '',
  ExposedPorts: { '80/tcp': {} },
  Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'FRONT=1'],
  Cmd: ['front', '-g', 'daemon off;'],
  WorkingDir: '',
  Entrypoint: ['/entrypoint.sh'],
  Labels: { maintainer: 'somebody' },
  StopSignal: 'SIGQUIT',
};

describe('image create --config', () => {
  let cli: CliFixture;
  let made = 0;
  before(async () => {
    cli = await cliFixture();
    await mkdir(join(cli.directory, 'root'));
    await writeFile(join(cli.directory, 'root', 'entrypoint.sh'), '#!/bin/sh\n');
  });
  after(() => cli[Symbol.asyncDispose]());

  const create = async (written: unknown): Promise<CliResult> => {
    await writeFile(join(cli.directory, 'config.json'), JSON.stringify(written));
    return cli.cenote('image', 'create', `image${made++}`, '--from', 'root', '--system', '--config', 'config.json', '--json');
  };

  it('takes what docker inspect prints of an image', async () => {
    const result = succeeded(await create([webServer]));
    assert.deepEqual(result.json<Image>().config, webServerKept);
    assert.equal(result.stderr, '');
  });

  it('says what it leaves away that the image means', async () => {
    const result = succeeded(await create([database]));
    const { StartInterval: _pace, ...check } = database.Config.Healthcheck;
    const { Volumes: _volumes, ...kept } = database.Config;
    assert.deepEqual(result.json<Image>().config, { ...kept, Healthcheck: check });
    assert.match(result.stderr, /^left away Volumes \(\/var\/lib\/store\/data\): what is written there is on the machine's own disk$/m);
    assert.match(result.stderr, /^left away Healthcheck\.StartInterval: /m);
  });

  it('takes a container, one object alone, and OCI', async () => {
    const ofContainer = succeeded(await create([container]));
    assert.deepEqual(ofContainer.json<Image>().config, webServerKept);
    assert.match(ofContainer.stderr, /^left away StopTimeout: say it with `create --stop-grace`\n$/);
    assert.deepEqual(succeeded(await create(webServer)).json<Image>().config, webServerKept);
    assert.deepEqual(succeeded(await create(webServer.Config)).json<Image>().config, webServerKept);
    assert.deepEqual(
      succeeded(await create({ architecture: 'amd64', os: 'linux', config: { Cmd: ['sh'] }, rootfs: { type: 'layers' } })).json<Image>().config,
      { Cmd: ['sh'] },
    );
    assert.deepEqual(succeeded(await create([{ Id: 'sha256:0', Config: null }])).json<Image>().config, {});
  });

  it('refuses what is nowhere known, and more than one', async () => {
    failed(await create([{ Config: { Cmdx: ['sh'] } }]), 2, /^cenote: --config: Cmdx: unknown field$/m);
    failed(await create([{ Config: { Healthcheck: { Test: ['NONE'], Pace: 1 } } }]), 2, /Healthcheck.*Pace: unknown field$/m);
    failed(await create([webServer, database]), 2, /--config: config\.json describes 2 images\n.*docker inspect IMAGE/);
    for (const nothing of [[], [[]], 'sh', null, { Config: ['sh'] }]) failed(await create(nothing), 2, /config\.json is not an image configuration/);
  });
});
