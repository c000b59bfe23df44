/** The part of the control plane's API that is about networks, VLANs and addresses. */
import type {
  CreateFloatingAddress,
  CreateNetwork,
  CreateNetworkPool,
  CreateVlan,
  FloatingAddress,
  Network,
  NetworkAddress,
  NetworkPool,
  UpdateNetwork,
  UpdateNetworkPool,
  UpdateVlan,
  Vlan,
} from '../model/network-api.ts';
import type { NetworkUsage } from '../model/network-usage.ts';
import type { HttpClient } from './http.ts';

export interface ControlCall {
  signal?: AbortSignal | undefined;
}

const part = encodeURIComponent;
const network = (id: string): string => `/v1/networks/${part(id)}`;
const floating = (address: string): string => `/v1/floating-addresses/${part(address)}`;
const pool = (id: string): string => `/v1/network-pools/${part(id)}`;

export class NetworkCalls {
  readonly http: HttpClient;

  constructor(http: HttpClient) {
    this.http = http;
  }

  networkList(call: ControlCall = {}): Promise<Network[]> {
    return this.http.json('GET', '/v1/networks', call);
  }

  networkGet(idOrName: string, call: ControlCall = {}): Promise<Network> {
    return this.http.json('GET', network(idOrName), call);
  }

  /** Of an account's own, and to the operator of all. */
  networkUsage(idOrName: string, call: ControlCall = {}): Promise<NetworkUsage> {
    return this.http.json('GET', `${network(idOrName)}/usage`, call);
  }

  networkCreate(json: CreateNetwork, call: ControlCall = {}): Promise<Network> {
    return this.http.json('POST', '/v1/networks', { json, ...call });
  }

  networkUpdate(idOrName: string, json: UpdateNetwork, call: ControlCall = {}): Promise<Network> {
    return this.http.json('POST', `${network(idOrName)}/update`, { json, ...call });
  }

  networkMakeDefault(idOrName: string, call: ControlCall = {}): Promise<Network> {
    return this.http.json('POST', `${network(idOrName)}/default`, { json: {}, ...call });
  }

  networkDelete(idOrName: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', network(idOrName), call);
  }

  /** A page of those that are taken. */
  networkAddressList(idOrName: string, query: { limit?: number; offset?: number } = {}, call: ControlCall = {}): Promise<NetworkAddress[]> {
    return this.http.json('GET', `${network(idOrName)}/addresses`, { query, ...call });
  }

  networkReserve(idOrName: string, address: string, reserved: boolean, call: ControlCall = {}): Promise<NetworkAddress> {
    return this.http.json('POST', `${network(idOrName)}/addresses/${part(address)}`, { json: { reserved }, ...call });
  }

  networkPoolList(call: ControlCall = {}): Promise<NetworkPool[]> {
    return this.http.json('GET', '/v1/network-pools', call);
  }

  networkPoolGet(idOrName: string, call: ControlCall = {}): Promise<NetworkPool> {
    return this.http.json('GET', pool(idOrName), call);
  }

  networkPoolCreate(json: CreateNetworkPool, call: ControlCall = {}): Promise<NetworkPool> {
    return this.http.json('POST', '/v1/network-pools', { json, ...call });
  }

  networkPoolUpdate(idOrName: string, json: UpdateNetworkPool, call: ControlCall = {}): Promise<NetworkPool> {
    return this.http.json('POST', `${pool(idOrName)}/update`, { json, ...call });
  }

  networkPoolDelete(idOrName: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', pool(idOrName), call);
  }

  floatingList(call: ControlCall = {}): Promise<FloatingAddress[]> {
    return this.http.json('GET', '/v1/floating-addresses', call);
  }

  floatingGet(address: string, call: ControlCall = {}): Promise<FloatingAddress> {
    return this.http.json('GET', floating(address), call);
  }

  floatingCreate(json: CreateFloatingAddress, call: ControlCall = {}): Promise<FloatingAddress> {
    return this.http.json('POST', '/v1/floating-addresses', { json, ...call });
  }

  /** From whichever machine has it now. */
  floatingAttach(address: string, machine: string, call: ControlCall = {}): Promise<FloatingAddress> {
    return this.http.json('POST', `${floating(address)}/attach`, { json: { machine }, ...call });
  }

  floatingDetach(address: string, call: ControlCall = {}): Promise<FloatingAddress> {
    return this.http.json('POST', `${floating(address)}/detach`, { json: {}, ...call });
  }

  floatingDelete(address: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', floating(address), call);
  }

  vlanList(call: ControlCall = {}): Promise<Vlan[]> {
    return this.http.json('GET', '/v1/vlans', call);
  }

  vlanCreate(json: CreateVlan, call: ControlCall = {}): Promise<Vlan> {
    return this.http.json('POST', '/v1/vlans', { json, ...call });
  }

  vlanUpdate(id: number, json: UpdateVlan, call: ControlCall = {}): Promise<Vlan> {
    return this.http.json('POST', `/v1/vlans/${id}/update`, { json, ...call });
  }

  vlanDelete(id: number, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', `/v1/vlans/${id}`, call);
  }
}
