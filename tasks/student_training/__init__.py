"""Parts shared by the stages that train networks."""
