/*
 * list - intrusive doubly linked lists.
 *
 * A head is a node that belongs to no object. A node is in at most one list; list_remove() leaves
 * it linked to itself, so that removing twice is harmless. One that is all zero is not initialised:
 * list_init() has to come before anything else. Nothing here owns what it links.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list_node {
	struct list_node *prev, *next;
};

/* The object of type that holds the node as member. */
#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Safe against removal of the node at hand, and of no other. */
#define list_for_each_safe(node, tmp, head)                                 \
	for ((node) = (head)->next, (tmp) = (node)->next; (node) != (head); \
		(node) = (tmp), (tmp) = (node)->next)

static inline void list_init(struct list_node *head)
{
	head->prev = head->next = head;
}

static inline bool list_empty(const struct list_node *head)
{
	return head->next == head;
}

/* At the end. The node must be in no list: it is not taken out of another one. */
static inline void list_append(struct list_node *head, struct list_node *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_remove(struct list_node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Removes and returns the first node; NULL when empty. */
static inline struct list_node *list_pop(struct list_node *head)
{
	struct list_node *node = head->next;

	if (node == head)
		return NULL;
	list_remove(node);
	return node;
}

/* Moves all nodes of from to the end of head. */
static inline void list_splice(struct list_node *head, struct list_node *from)
{
	if (list_empty(from))
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	list_init(from);
}
