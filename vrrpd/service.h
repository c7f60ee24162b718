/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/service.h - Election1, Vrrp1 and Address1 on the system bus and on the private socket. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "election.h"

#define VRRP_BUS_NAME "org.understudy.Vrrp1"
#define VRRP_BUS_ROOT "/org/understudy/Vrrp1"
#define VRRP_PRIVATE_SOCKET "/run/understudy/private/vrrp"

typedef struct VrrpService VrrpService;

VrrpService *vrrp_service_new(GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_service_free(VrrpService *service); /* NULL is fine */

/* The election reports here; made with the service as its user data. */
extern const VrrpElectionListener vrrp_service_listener;

/* Publishes @election, which must outlive the service. */
bool vrrp_service_start(VrrpService *service, VrrpElection *election, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpService, vrrp_service_free)
