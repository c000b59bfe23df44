/**
 * Every command: its words, one line about it, and how to load it. Each is loaded only when it is called, so that a listing
 * does not pay for what a copy needs.
 */
import type { AnyCommand } from './command.ts';

export interface Entry {
  summary: string;
  load: () => Promise<AnyCommand>;
}

export interface Section {
  title: string;
  commands: Readonly<Record<string, Entry>>;
}

const entry = (summary: string, load: () => Promise<{ command: unknown }>): Entry => ({
  summary,
  load: async () => (await load()).command as AnyCommand,
});

export const sections: readonly Section[] = [
  {
    title: 'Machines',
    commands: {
      create: entry('Create a machine and start it', () => import('./machine/create.ts')),
      run: entry('Create a machine, follow its output and give back its exit code', () => import('./machine/run.ts')),
      ls: entry('List machines', () => import('./machine/ls.ts')),
      get: entry('Show all about machines', () => import('./machine/get.ts')),
      start: entry('Start machines', () => import('./machine/start.ts')),
      stop: entry('Stop machines', () => import('./machine/stop.ts')),
      reboot: entry('Stop and start machines', () => import('./machine/reboot.ts')),
      rename: entry('Give a machine another name', () => import('./machine/rename.ts')),
      resize: entry('Change guarantees and ceilings, while it runs', () => import('./machine/resize.ts')),
      update: entry('Change image, code, environment, ports or policy; data stays', () => import('./machine/update.ts')),
      delete: entry('Delete machines and their data', () => import('./machine/delete.ts')),
      wait: entry('Wait until machines are in a state', () => import('./machine/wait.ts')),
      exec: entry('Run a command in a machine', () => import('./machine/exec.ts')),
      logs: entry("Show a machine's output", () => import('./machine/logs.ts')),
      cp: entry('Copy files into or out of a machine', () => import('./machine/cp.ts')),
      top: entry('Show what machines use, live', () => import('./machine/top.ts')),
      why: entry('Say why a machine is slow, or was reclaimed, throttled, killed or refused', () => import('./why/why.ts')),
      jobs: entry('Show what was done to a machine, by whom, and how it ended', () => import('./machine/jobs.ts')),
    },
  },
  {
    title: 'Snapshots',
    commands: {
      'snapshot create': entry("Snapshot a machine's data", () => import('./snapshot/create.ts')),
      'snapshot ls': entry("List a machine's snapshots", () => import('./snapshot/ls.ts')),
      'snapshot rollback': entry('Bring a machine back to a snapshot; restarts it', () => import('./snapshot/rollback.ts')),
      'snapshot delete': entry('Delete a snapshot', () => import('./snapshot/delete.ts')),
    },
  },
  {
    title: 'Images',
    commands: {
      'image create': entry('Make an image of a directory, an archive or a machine', () => import('./image/create.ts')),
      'image ls': entry('List images', () => import('./image/ls.ts')),
      'image get': entry('Show all about an image', () => import('./image/get.ts')),
      'image delete': entry('Delete images no machine uses', () => import('./image/delete.ts')),
    },
  },
  {
    title: 'Metadata',
    commands: {
      'metadata ls': entry("List a machine's metadata", () => import('./metadata/ls.ts')),
      'metadata get': entry('Print a value', () => import('./metadata/get.ts')),
      'metadata set': entry('Set values, seen inside at once', () => import('./metadata/set.ts')),
      'metadata delete': entry('Delete values', () => import('./metadata/delete.ts')),
    },
  },
  {
    title: 'Platforms',
    commands: {
      'platform build': entry("Build a version of the machines' operating system", () => import('./platform/build.ts')),
      'platform ls': entry('List platforms', () => import('./platform/ls.ts')),
      'platform update': entry('Move machines to another version, or back', () => import('./platform/update.ts')),
      'platform delete': entry('Delete a version no machine uses', () => import('./platform/delete.ts')),
    },
  },
  {
    title: 'Packages',
    commands: {
      'package create': entry('Name a set of guarantees and ceilings', () => import('./package/create.ts')),
      'package ls': entry('List packages', () => import('./package/ls.ts')),
      'package get': entry('Show all about a package', () => import('./package/get.ts')),
      'package update': entry('Make the next version of a package', () => import('./package/update.ts')),
      'package delete': entry('Delete packages', () => import('./package/delete.ts')),
    },
  },
  {
    title: 'Accounts',
    commands: {
      'account create': entry('Make an account, with SSH keys it is known by', () => import('./account/create.ts')),
      'account ls': entry('List accounts', () => import('./account/ls.ts')),
      'account get': entry('Show all about an account', () => import('./account/get.ts')),
      'account update': entry('Change what an account says of itself, and what it may have', () => import('./account/update.ts')),
      'account disable': entry('Let nobody in for an account; its machines go on', () => import('./account/disable.ts')),
      'account enable': entry('Let an account in again', () => import('./account/enable.ts')),
      'account delete': entry('Delete accounts without machines', () => import('./account/delete.ts')),
      'account token create': entry('Make a token that stands for an account for a while', () => import('./account/token-create.ts')),
      'account token ls': entry("List an account's tokens", () => import('./account/token-ls.ts')),
      'account token delete': entry('End a token before its time', () => import('./account/token-delete.ts')),
      'account accesskey create': entry('Make an access key: an id and a secret to sign with', () => import('./account/access-key-create.ts')),
      'account accesskey ls': entry("List an account's access keys", () => import('./account/access-key-ls.ts')),
      'account accesskey update': entry('Make an access key active or inactive', () => import('./account/access-key-update.ts')),
      'account accesskey delete': entry('Delete an access key', () => import('./account/access-key-delete.ts')),
      'account key add': entry('Give an account another SSH key', () => import('./account/key-add.ts')),
      'account key ls': entry("List an account's SSH keys", () => import('./account/key-ls.ts')),
      'account key delete': entry('Take an SSH key from an account', () => import('./account/key-delete.ts')),
    },
  },
  {
    title: 'Networks',
    commands: {
      'network create': entry('Make a network of your own', () => import('./network/create.ts')),
      'network ls': entry('List networks', () => import('./network/ls.ts')),
      'network get': entry('Show all about a network', () => import('./network/get.ts')),
      'network update': entry('Change a network', () => import('./network/update.ts')),
      'network default': entry('Choose the network of new machines', () => import('./network/default.ts')),
      'network delete': entry('Delete networks no machine is on', () => import('./network/delete.ts')),
      'network pool create': entry('Make a pool of shared networks', () => import('./network/pool/create.ts')),
      'network pool ls': entry('List pools of shared networks', () => import('./network/pool/ls.ts')),
      'network pool update': entry('Change a pool of shared networks', () => import('./network/pool/update.ts')),
      'network pool delete': entry('Delete pools of shared networks', () => import('./network/pool/delete.ts')),
      'vlan create': entry('Make a group of networks', () => import('./vlan/create.ts')),
      'vlan ls': entry('List groups of networks', () => import('./vlan/ls.ts')),
      'vlan update': entry('Change a group of networks', () => import('./vlan/update.ts')),
      'vlan delete': entry('Delete groups without networks', () => import('./vlan/delete.ts')),
      'ip ls': entry('List addresses of a network that are taken', () => import('./ip/ls.ts')),
      'ip reserve': entry('Keep addresses for who asks for them', () => import('./ip/reserve.ts')),
      'ip release': entry('Let addresses be given to any machine again', () => import('./ip/release.ts')),
      'ip float create': entry('Take a floating address of a public network', () => import('./ip/float-create.ts')),
      'ip float ls': entry('List floating addresses, and where they lead', () => import('./ip/float-ls.ts')),
      'ip float attach': entry('Let a floating address lead to a machine, from wherever it led', () => import('./ip/float-attach.ts')),
      'ip float detach': entry('Let a floating address lead nowhere', () => import('./ip/float-detach.ts')),
      'ip float delete': entry('Give floating addresses back', () => import('./ip/float-delete.ts')),
      'nic ls': entry("List a machine's NICs", () => import('./nic/ls.ts')),
      'nic add': entry('Put a running machine on one more network', () => import('./nic/add.ts')),
      'nic address add': entry('Give a running machine one more address on a network', () => import('./nic/address-add.ts')),
      'nic address remove': entry('Take an address from a running machine', () => import('./nic/address-remove.ts')),
      'nic primary': entry('Let another NIC of a running machine be its primary one', () => import('./nic/primary.ts')),
      'nic remove': entry('Take a running machine off a network', () => import('./nic/remove.ts')),
    },
  },
  {
    title: 'Firewall',
    commands: {
      'fwrule create': entry('Make a firewall rule', () => import('./fwrule/create.ts')),
      'fwrule ls': entry('List firewall rules', () => import('./fwrule/ls.ts')),
      'fwrule get': entry('Show all about a firewall rule', () => import('./fwrule/get.ts')),
      'fwrule update': entry('Change a firewall rule', () => import('./fwrule/update.ts')),
      'fwrule enable': entry('Put firewall rules in force', () => import('./fwrule/enable.ts')),
      'fwrule disable': entry('Leave firewall rules without effect', () => import('./fwrule/disable.ts')),
      'fwrule delete': entry('Delete firewall rules', () => import('./fwrule/delete.ts')),
      'fwrule machines': entry('List machines that a firewall rule is about', () => import('./fwrule/machines.ts')),
      'firewall enable': entry("Turn machines' firewalls on", () => import('./firewall/enable.ts')),
      'firewall disable': entry("Turn machines' firewalls off", () => import('./firewall/disable.ts')),
      'firewall test': entry('Say whether a packet is let through, and by which rule', () => import('./firewall/test.ts')),
    },
  },
  {
    title: 'Names',
    commands: {
      'dns ls': entry('List the names that machines have, and what they lead to', () => import('./dns/ls.ts')),
      'dns get': entry('Show what a name leads to', () => import('./dns/get.ts')),
      'dns status': entry("Show how the datacenter's own DNS server fares", () => import('./dns/status.ts')),
    },
  },
  {
    title: 'Profiles',
    commands: {
      'profile create': entry('Name a control plane elsewhere, an account there and its key', () => import('./profile/create.ts')),
      'profile ls': entry('List profiles', () => import('./profile/ls.ts')),
      'profile get': entry('Show all about a profile', () => import('./profile/get.ts')),
      'profile use': entry('Choose the profile that commands are for', () => import('./profile/use.ts')),
      'profile delete': entry('Delete profiles', () => import('./profile/delete.ts')),
    },
  },
  {
    title: 'Host',
    commands: {
      up: entry('Prepare this host, start the services and the first machine', () => import('./host/up.ts')),
      down: entry('Stop the services; machines go on', () => import('./host/down.ts')),
      destroy: entry('Remove every trace of this instance', () => import('./host/destroy.ts')),
      doctor: entry('Say what this host offers and lacks', () => import('./host/doctor.ts')),
      pool: entry('Show what there is of each resource, who has it and who has borrowed', () => import('./pool/pool.ts')),
      info: entry('Show the host, its pool and the services', () => import('./host/info.ts')),
      events: entry('Show what happened', () => import('./host/events.ts')),
      'backup create': entry('Copy all that the control plane has into a file', () => import('./backup/create.ts')),
      'backup restore': entry('Put such a copy back', () => import('./backup/restore.ts')),
      completion: entry('Print the completion script of a shell', () => import('./shell/completion.ts')),
      version: entry('Print the version', () => import('./host/version.ts')),
    },
  },
];

export const allCommands = (): Record<string, Entry> => Object.assign({}, ...sections.map((section) => section.commands)) as Record<string, Entry>;

/** What people coming from other tools type, and what it is here. Only suggested. */
export const otherWords: Readonly<Record<string, string>> = {
  ps: 'ls',
  list: 'ls',
  rm: 'delete',
  remove: 'delete',
  kill: 'stop',
  restart: 'reboot',
  inspect: 'get',
  show: 'get',
  shell: 'exec',
  ssh: 'exec',
  images: 'image ls',
  snapshots: 'snapshot ls',
  platforms: 'platform ls',
  packages: 'package ls',
  fwrules: 'fwrule ls',
  networks: 'network ls',
  nics: 'nic ls',
  profiles: 'profile ls',
  names: 'dns ls',
  dig: 'dns get',
  remote: 'profile create',
  login: 'profile create',
  build: 'image create',
  stats: 'top',
  audit: 'jobs',
  dump: 'backup create',
  explain: 'why',
  capacity: 'pool',
  history: 'jobs',
  status: 'info',
  log: 'logs',
  mv: 'rename',
  copy: 'cp',
  init: 'up',
  install: 'up',
  help: '--help',
};
