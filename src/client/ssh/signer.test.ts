/** Keys of every kind, in every form, from files and by a real SSH agent: what they sign, the server's own library finds right. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import sshpk from 'sshpk';
import { CenoteError } from '../../base/errors.ts';
import { readPrivateKey } from './private-key.ts';
import { hasFingerprint, isFingerprint } from './public-key.ts';
import { openSshKey } from './signer.ts';
import type { SshKey } from './signer.ts';

const pem = { privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } } as const;
const made = {
  rsa: () => generateKeyPairSync('rsa', { modulusLength: 2048, ...pem }).privateKey,
  p256: () => generateKeyPairSync('ec', { namedCurve: 'P-256', ...pem }).privateKey,
  p384: () => generateKeyPairSync('ec', { namedCurve: 'P-384', ...pem }).privateKey,
  p521: () => generateKeyPairSync('ec', { namedCurve: 'P-521', ...pem }).privateKey,
};
const data = Buffer.from('(request-target): get /v1/machines\ndate: now');

/** As the control plane does. */
const check = async (signer: Pick<SshKey, 'publicKey' | 'sign'>, key: sshpk.Key): Promise<void> => {
  const [kind, hash] = signer.publicKey.algorithm.split('-') as [string, string];
  assert.equal(key.type, kind);
  const holder = createPublicKey(key.toString('pkcs8'));
  assert.ok(verify(kind === 'ed25519' ? null : hash, data, holder, await signer.sign(data)), `${kind} ${hash}`);
  assert.equal(signer.publicKey.sha256, key.fingerprint('sha256').toString());
  assert.equal(signer.publicKey.md5, key.fingerprint('md5').toString('hex'));
};

const refusal = (pattern: RegExp) => (error: unknown) => error instanceof CenoteError && pattern.test(`${error.message} ${error.advice ?? ''}`);

describe('keys in files', () => {
  for (const [kind, make] of Object.entries(made)) {
    it(`reads and signs with ${kind}`, async () => {
      const key = sshpk.parsePrivateKey(make());
      for (const form of ['pem', 'pkcs8', 'openssh'] as const) {
        const { publicKey, sign } = readPrivateKey(key.toString(form), form);
        await check({ publicKey: publicKey!, sign: sign! }, key.toPublic());
      }
    });
  }

  it('reads and signs with ed25519', async () => {
    const key = sshpk.generatePrivateKey('ed25519');
    const { publicKey, sign } = readPrivateKey(key.toString('openssh'), 'ed25519');
    await check({ publicKey: publicKey!, sign: sign! }, key.toPublic());
    const own = generateKeyPairSync('ed25519', pem);
    const { sign: other, publicKey: shown } = readPrivateKey(own.privateKey, 'pem');
    await check({ publicKey: shown!, sign: other! }, sshpk.parseKey(own.publicKey, 'pkcs8'));
  });

  it('says what a file is that is none', () => {
    const key = sshpk.generatePrivateKey('ed25519');
    assert.throws(() => readPrivateKey(key.toPublic().toString('ssh'), 'x.pub'), refusal(/is a public key give the private one: x$/));
    assert.throws(() => readPrivateKey('hello', 'x'), refusal(/no private key in OpenSSH or PEM/));
    assert.throws(() => readPrivateKey(generateKeyPairSync('ed448', pem).privateKey, 'x'), refusal(/x is of kind ssh-ed448.* RSA, ECDSA or ed25519/));
    const text = key.toString('openssh');
    const [head, ...body] = text.trim().split('\n');
    const bytes = Buffer.from(body.slice(0, -1).join(''), 'base64');
    const cut = fc.record({
      at: fc.integer({ min: 0, max: bytes.length - 1 }),
      value: fc.integer({ min: 0, max: 255 }),
      length: fc.integer({ min: 0, max: bytes.length }),
    });
    fc.assert(
      fc.property(cut, ({ at, value, length }) => {
        const damaged = Buffer.from(bytes.subarray(0, length));
        if (at < length) damaged[at] = value;
        try {
          readPrivateKey(`${head}\n${damaged.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`, 'x');
        } catch (error) {
          assert.ok(error instanceof CenoteError, String(error));
        }
      }),
    );
  });

  it('knows fingerprints in all their forms', () => {
    const key = sshpk.generatePrivateKey('ed25519');
    const publicKey = readPrivateKey(key.toString('openssh'), 'x').publicKey!;
    const md5 = key.fingerprint('md5').toString('hex');
    for (const form of [publicKey.sha256, md5, `MD5:${md5}`, md5.replaceAll(':', '')]) assert.ok(isFingerprint(form) && hasFingerprint(publicKey, form), form);
    assert.equal(hasFingerprint(publicKey, `SHA256:${'A'.repeat(43)}`), false);
    assert.equal(isFingerprint('/home/ann/.ssh/id_rsa'), false);
  });
});

describe('the SSH agent', { skip: !existsSync('/usr/bin/ssh-agent') && 'there is no ssh-agent' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-agent-'));
  const socket = join(directory, 'agent');
  const agent = spawn('/usr/bin/ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
  const file = (name: string) => join(directory, name);
  const keygen = (name: string, ...words: string[]) => execFileSync('/usr/bin/ssh-keygen', ['-q', '-f', file(name), ...words]);
  const add = (name: string, passphrase = '') => {
    const helper = file('askpass');
    writeFileSync(helper, `#!/bin/sh\necho '${passphrase}'\n`, { mode: 0o700 });
    execFileSync('/usr/bin/ssh-add', ['-q', file(name)], {
      env: { SSH_AUTH_SOCK: socket, SSH_ASKPASS: helper, SSH_ASKPASS_REQUIRE: 'force' },
      stdio: 'ignore',
    });
  };
  const keyOf = (name: string) => sshpk.parseKey(readFileSync(`${file(name)}.pub`, 'utf8'), 'ssh');
  before(async () => {
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10));
  });
  after(() => {
    agent.kill();
    rmSync(directory, { recursive: true });
  });

  it('signs with the key that is meant', async () => {
    for (const [kind, ...words] of [['rsa', '-b', '2048'], ['ecdsa'], ['ecdsa', '-b', '384'], ['ecdsa', '-b', '521'], ['ed25519']]) {
      const name = `${kind}${words.at(-1) ?? ''}`;
      keygen(name, '-N', '', '-t', kind!, ...words);
      add(name);
      const key = keyOf(name);
      for (let times = 0; times < 4; times++) await check(await openSshKey({ fingerprint: key.fingerprint('sha256').toString() }, socket), key);
      await check(await openSshKey({ fingerprint: key.fingerprint('md5').toString('hex') }, socket), key);
      await check(await openSshKey({ file: file(name) }, undefined), key);
    }
  });

  it('unlocks files that have a passphrase', async () => {
    keygen('locked', '-N', 'long enough', '-t', 'ed25519');
    await assert.rejects(openSshKey({ file: file('locked') }, socket), refusal(/locked with a passphrase add it to the SSH agent: ssh-add .*locked$/));
    await assert.rejects(openSshKey({ file: file('locked') }, undefined), refusal(/start an SSH agent and add it/));
    keygen('older', '-N', 'long enough', '-t', 'rsa', '-b', '2048', '-m', 'PEM');
    await assert.rejects(openSshKey({ file: file('older') }, socket), refusal(/locked with a passphrase/));
    add('locked', 'long enough');
    await check(await openSshKey({ file: file('locked') }, socket), keyOf('locked'));
  });

  it('says what it lacks', async () => {
    const strange = `SHA256:${'A'.repeat(43)}`;
    await assert.rejects(openSshKey({ fingerprint: strange }, socket), refusal(/the SSH agent has no key SHA256:AAA.* add it: ssh-add FILE \(it has SHA256:/));
    await assert.rejects(openSshKey({ fingerprint: strange }, undefined), refusal(/there is none \(SSH_AUTH_SOCK\)/));
    await assert.rejects(openSshKey({ fingerprint: strange }, file('nothing')), refusal(/the SSH agent does not answer: .*ENOENT/));
  });
});
