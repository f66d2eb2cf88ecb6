"""How a network is trained: keys, defaults, and the recipes that come with striate."""
