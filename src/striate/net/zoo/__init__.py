"""The networks that come with striate."""
