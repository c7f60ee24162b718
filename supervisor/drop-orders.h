/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/drop-orders.h - what of drop.c cannot wait for the library, which would first ask the kernel for all there is: phones are waiting.
 *
 * Each is one transaction, and done when it returns. What is not there need not be taken away. false: the kernel does not do it, and says not why.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define DROP_TABLE "understudy" /* of family inet */
#define DROP_SET_MOST 7         /* the longest name of a set */

int drop_orders_open(void); /* -1: it cannot be had, and all of the others return false */

bool drop_order_delete_table(int fd);
bool drop_order_empty_sets(int fd, const char *const *sets, guint n_sets);
bool drop_order_add_port(int fd, const char *set, guint16 port); /* to a set of inet_service */
