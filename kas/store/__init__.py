"""The only room that speaks SQL; migrations stand beside it."""
