/** The firewall rules of this host. */
import { FirewallChange } from '../../model/firewall/wire.ts';
import type { AgentRoutes } from './server.ts';

export const firewallRoutes: AgentRoutes = (app, { firewall }) => {
  app.get('/v1/firewall', async () => firewall.applied);
  app.post<{ Body: FirewallChange }>('/v1/firewall', { schema: { body: FirewallChange } }, ({ body }) => firewall.change(body));
};
